"""The only place where steps are joined and results written."""

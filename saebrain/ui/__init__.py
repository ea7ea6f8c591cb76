"""The dashboard: what its pages are made of. Only this package, app.py and pages/ know Streamlit."""

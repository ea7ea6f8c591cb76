"""The cortical surface: meshes, parcels, colours, pictures and files of maps with one value per vertex."""

"""The interactive surface viewer: WebGL in the browser, bytes and a Streamlit component in Python."""

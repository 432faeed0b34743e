"""A page that sends one request to every backend and shows the answers side by side."""

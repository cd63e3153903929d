"""What people touch: cli. Imports only api, config and errors."""

"""The API at `/api/v1/`, for programs."""

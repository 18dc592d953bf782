"""What the API takes and gives, as OpenAPI describes it."""

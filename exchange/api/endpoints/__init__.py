"""The endpoints of the API: thin, each a call of the services that pages use."""

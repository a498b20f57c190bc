"""Bad input, made by machines: `decoder` mutates bodies and events, `api` every operation of the six OpenAPI documents."""

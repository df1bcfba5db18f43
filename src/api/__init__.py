"""HTTP: routes, schemas, middleware and the page. Knows the services and nothing behind their ports."""

// No validator badge: it would ask another host.
SwaggerUIBundle({
  url: "/api/v1/openapi.json",
  dom_id: "#page",
  validatorUrl: null,
  deepLinking: true,
  displayOperationId: false,
  defaultModelsExpandDepth: 0,
  tryItOutEnabled: true,
});

"""docker-compose.yml: written from the same settings as the native mesh, checked by compose-go, brought up by podman."""

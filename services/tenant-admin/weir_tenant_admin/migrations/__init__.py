"""SQL of the schema ``tenant_admin``, run in order by the owner role."""

-- The rights of a fresh installation: everything is its owner's. PostgreSQL lets everybody call a new function.
revoke execute on all functions in schema pgflow from public;

\ir ../schema.sql

"""Calls on connections that belong to the caller: of psycopg, psycopg2, asyncpg, SQLAlchemy or Django."""

"""The admin port: commands as four-letter words and as JSON, metrics, backups, the live page."""

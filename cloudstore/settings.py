"""Settings. Every value that a site may change is read from the environment, see README."""

"""The site: settings and addresses. The chat is in the application beside it."""

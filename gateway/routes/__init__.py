"""The paths of the API, a module for each kind of resource. What each answers is in `gateway.resources`."""

// Package image builds the container image from the checkout's Dockerfile and tries it with a container engine, as the README says,
// and docker-compose.yml with its sample device and back end. Its tests have the build tag conformance; scripts/containers runs them.
package image

// Package admin is the emulator's own management API, on a port of its own and
// never mixed with Azure's paths: health, addresses and connection strings, kept
// telemetry, refused operations. Programs that test against the emulator use it;
// it asks for no credential and so accepts loopback names and its own origin only.
package admin

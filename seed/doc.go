// Package seed is the seed file: what hubs shall hold, as YAML or JSON. It reads one with the place of everything in it, so that what is wrong is named by
// file, line and column; it checks all of it before anybody acts on it; it writes one; and it knows the JSON Schema of the
// format, which follows from the Go types. It does not know hubs: package seedhub makes them what a seed says.
package seed

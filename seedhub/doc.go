// Package seedhub makes what a seed says true of a hub, and writes what is true of a hub as a seed. Everything is checked against the hub
// before anything is written, and what is as it shall be already is not written again: no version and no etag moves.
package seedhub

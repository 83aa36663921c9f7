// Package bench holds measurements of the whole program. It has no code but
// its benchmarks.
package bench

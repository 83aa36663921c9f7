// Package emulator assembles the rooms of Hubnerite into a running IoT hub: it
// opens the stores, makes the certificates, binds the listeners and serves the
// protocols on them until Close. It keeps no state of its own outside an
// Emulator, so that any number of them run in one process.
package emulator

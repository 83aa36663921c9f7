// Package iothub holds the nouns of an IoT Hub and their pure rules: device
// and module identities, twins, messages, direct methods, access rights, the
// error catalogue and the limits.
//
// Nothing here starts a goroutine, takes a lock, reads a clock or does I/O.
// What is true after a restart belongs to package registry, what is about time
// and delivery to package hub.
package iothub

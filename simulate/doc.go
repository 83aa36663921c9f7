// Package simulate plays devices: they send telemetry made from templates, answer direct methods, report what is desired of them, and settle
// cloud-to-device messages. Each has a connection of the hub's own door, as a front end's client has, so that every rule and
// every event of the hub holds for it. Two goroutines do the work of all devices of a hub, whose next deeds wait in two heaps.
package simulate

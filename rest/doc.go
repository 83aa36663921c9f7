// Package rest is the service API of an IoT hub over HTTPS, on exactly Azure's
// paths: identities, twins, queries, direct methods, digital twins, jobs,
// configurations, statistics, the purge of cloud-to-device queues and feedback. Handlers parse, call package hub and
// reply. What Azure offers and the emulator does not is answered with 501 and
// the operation's name, and counted.
//
// Source: IoT Hub service API 2021-04-12.
package rest

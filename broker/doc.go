// Package broker is IoT Hub's MQTT 3.1.1 front end: listeners, the CONNECT
// check, the topic grammar, and sessions that tie one connection to package hub.
//
// The MQTT library underneath is a decoder and the shell of a connection, no
// more: it reads packets, minds keep-alive and answers PINGREQ. Routing, packet
// identifiers, acknowledgements, sessions, wills and takeover are this
// package's, because a hub has no topic tree: every topic is an operation.
//
// Source: IoT Hub, communicate with your IoT hub using the MQTT protocol; OASIS
// MQTT 3.1.1.
package broker

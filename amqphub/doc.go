// Package amqphub puts IoT Hub's addresses on the AMQP engine: claims-based
// security ($cbs), the links of devices and modules, cloud-to-device sends and
// the feedback queue of back ends, and the Event Hubs-compatible endpoint.
//
// It parses, calls package hub and replies; every rule of delivery is there.
// Sources: "Communicate with IoT Hub by using the AMQP protocol"; the AMQP code
// of the device and service SDKs; OASIS AMQP Claims-based Security 1.0.
//
// # Who may do what
//
// A connection collects grants: the one that SASL PLAIN proved, and one for
// each put-token on $cbs. A link is allowed when any grant that is valid now
// has the right that its address needs, and is detached with
// amqp:unauthorized-access once none has any more (see Server.Sweep).
//
// The links of a device need a grant that opens that device, or its certificate
// on the TLS connection. They live by the hub's connection of the identity: when
// the hub ends that, because of a newer connection, a disabled device or an
// expired token, they are detached, and those of other identities on the same
// AMQP connection stay.
package amqphub

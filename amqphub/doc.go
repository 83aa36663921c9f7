// Package amqphub puts IoT Hub's addresses on the AMQP engine: claims-based
// security ($cbs), cloud-to-device sends and the feedback queue of back ends.
//
// It parses, calls package hub and replies; every rule of delivery is there.
// Sources: "Communicate with IoT Hub by using the AMQP protocol"; the AMQP code
// of the service SDKs; OASIS AMQP Claims-based Security 1.0.
//
// # Who may do what
//
// A connection collects grants: the one that SASL PLAIN proved, and one for
// each put-token on $cbs. A link is allowed when any grant that is valid now
// has the right that its address needs, and is detached with
// amqp:unauthorized-access once none has any more (see Server.Sweep).
package amqphub

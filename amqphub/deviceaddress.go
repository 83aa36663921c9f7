package amqphub

import (
	"strings"

	"github.com/hubnerite/hubnerite/iothub"
)

// deviceNode says which of its nodes a device's address names.
type deviceNode int

const (
	nodeTelemetry deviceNode = iota
	nodeC2D
	nodeMethods
	nodeTwin
)

// deviceNodes are the nodes by their place below the identity.
func deviceNodes(path string) (deviceNode, bool) {
	switch strings.ToLower(path) {
	case "messages/events":
		return nodeTelemetry, true
	case "messages/devicebound":
		return nodeC2D, true
	case "methods/devicebound":
		return nodeMethods, true
	case "twin":
		return nodeTwin, true
	}
	return 0, false
}

// parseDeviceAddress reads the address of a device's or module's link:
// /devices/{id}[/modules/{id}]/{node}. The C# client escapes the IDs and writes a
// full URI, others do not.
// Source: the AMQP link addresses of the device SDKs.
func parseDeviceAddress(address string) (iothub.ID, deviceNode, error) {
	refused := iothub.NewError(iothub.CodeAmqpAddressNotFound, "There is no AMQP node %.128q.", address)
	s := strings.SplitN(pathOf(address), "/", 3)
	if len(s) != 3 || !strings.EqualFold(s[0], "devices") {
		return iothub.ID{}, 0, refused
	}
	id, rest := iothub.ID{DeviceID: unescapeID(s[1])}, s[2]
	if err := iothub.ValidateDeviceID(id.DeviceID); err != nil {
		return iothub.ID{}, 0, err
	}
	if m := strings.SplitN(rest, "/", 3); len(m) == 3 && strings.EqualFold(m[0], "modules") {
		id.ModuleID, rest = unescapeID(m[1]), m[2]
		if err := iothub.ValidateModuleID(id.ModuleID); err != nil {
			return iothub.ID{}, 0, err
		}
	}
	node, ok := deviceNodes(rest)
	if !ok {
		return iothub.ID{}, 0, refused
	}
	return id, node, nil
}

package iothub

import "strings"

// ID names a device, or a module of a device. It is the key of an identity, its
// twin, its connection and its cloud-to-device queue. Comparison is exact:
// device and module IDs are case-sensitive.
type ID struct {
	DeviceID string
	// ModuleID is empty for the device itself.
	ModuleID string
}

// String returns "device" or "device/module", which is also the MQTT client
// identifier of the identity.
func (id ID) String() string {
	if id.ModuleID == "" {
		return id.DeviceID
	}
	return id.DeviceID + "/" + id.ModuleID
}

// IsModule reports whether the ID names a module.
func (id ID) IsModule() bool { return id.ModuleID != "" }

// Device returns the ID of the device that id is, or that owns the module.
func (id ID) Device() ID { return ID{DeviceID: id.DeviceID} }

// ResourcePath returns the path of the identity below the host in shared access
// signatures: "devices/{id}" or "devices/{id}/modules/{id}".
func (id ID) ResourcePath() string {
	if id.ModuleID == "" {
		return "devices/" + id.DeviceID
	}
	return "devices/" + id.DeviceID + "/modules/" + id.ModuleID
}

// ParseID parses "device" or "device/module" and checks the syntax of both.
// It returns ArgumentInvalid otherwise.
func ParseID(s string) (ID, error) {
	device, module, isModule := strings.Cut(s, "/")
	if err := ValidateDeviceID(device); err != nil {
		return ID{}, err
	}
	if isModule {
		if err := ValidateModuleID(module); err != nil {
			return ID{}, err
		}
	}
	return ID{DeviceID: device, ModuleID: module}, nil
}

// MaxIDLength is the longest device, module or message ID in bytes.
const MaxIDLength = 128

// ValidateDeviceID checks a device ID: 1 to 128 ASCII letters, digits and
// - : . + % _ # * ? ! ( ) , = @ ; $ '. It returns ArgumentInvalid otherwise.
// Source: IoT Hub devguide, identity registry.
func ValidateDeviceID(s string) error { return validateID("device", s) }

// ValidateModuleID checks a module ID, which follows the rules of a device ID.
// It accepts the system modules $edgeAgent and $edgeHub; that clients may not
// choose names that start with $ is a rule of the registry.
func ValidateModuleID(s string) error { return validateID("module", s) }

func validateID(kind, s string) error {
	if s == "" || len(s) > MaxIDLength {
		return NewError(CodeArgumentInvalid, "The %s ID must have 1 to %d characters.", kind, MaxIDLength)
	}
	for i := range len(s) {
		if !validIDByte(s[i]) {
			return NewError(CodeArgumentInvalid, "The %s ID contains a character that is not allowed, at position %d.", kind, i)
		}
	}
	return nil
}

func validIDByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' ||
		strings.IndexByte("-:.+%_#*?!(),=@;$'", c) >= 0
}

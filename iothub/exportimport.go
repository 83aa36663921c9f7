package iothub

import (
	"bytes"
	"encoding/json"
	"strings"
)

// ImportMode says what a bulk operation or an import job does with an entry.
type ImportMode string

// The import modes. Source: IoT Hub, import and export device identities in bulk
// (control the import process).
const (
	ImportCreate                    ImportMode = "create"
	ImportCreateOrUpdate            ImportMode = "createOrUpdate"
	ImportCreateOrUpdateIfMatchETag ImportMode = "createOrUpdateIfMatchETag"
	ImportUpdate                    ImportMode = "update"
	ImportUpdateIfMatchETag         ImportMode = "updateIfMatchETag"
	ImportDelete                    ImportMode = "delete"
	ImportDeleteIfMatchETag         ImportMode = "deleteIfMatchETag"
	ImportUpdateTwin                ImportMode = "updateTwin"
	ImportUpdateTwinIfMatchETag     ImportMode = "updateTwinIfMatchETag"
)

// ImportModes returns all modes.
func ImportModes() []ImportMode {
	return []ImportMode{
		ImportCreate, ImportCreateOrUpdate, ImportCreateOrUpdateIfMatchETag, ImportUpdate, ImportUpdateIfMatchETag,
		ImportDelete, ImportDeleteIfMatchETag, ImportUpdateTwin, ImportUpdateTwinIfMatchETag,
	}
}

// ParseImportMode reads a mode in any case, as SDKs differ; "" is createOrUpdate.
// It returns ArgumentInvalid for an unknown one.
func ParseImportMode(s string) (ImportMode, error) {
	if s == "" {
		return ImportCreateOrUpdate, nil
	}
	for _, m := range ImportModes() {
		if strings.EqualFold(s, string(m)) {
			return m, nil
		}
	}
	return "", NewError(CodeArgumentInvalid, "importMode %q is not known.", s)
}

// ExportImportDevice is an entry of a bulk registry operation and a line of an
// import or export: a device or module with its twin.
// Source: ExportImportDevice of the IoT Hub service API 2021-04-12.
type ExportImportDevice struct {
	ID             string                 `json:"id"`
	ModuleID       string                 `json:"moduleId,omitempty"`
	ETag           string                 `json:"eTag,omitempty"`
	ImportMode     string                 `json:"importMode,omitempty"`
	Status         Status                 `json:"status,omitempty"`
	StatusReason   *string                `json:"statusReason,omitempty"`
	Authentication *AuthenticationRequest `json:"authentication"`
	TwinETag       string                 `json:"twinETag,omitempty"`
	// Tags and the properties keep their text.
	Tags         json.RawMessage         `json:"tags,omitempty"`
	Properties   *ExportImportProperties `json:"properties,omitempty"`
	Capabilities *Capabilities           `json:"capabilities,omitempty"`
	DeviceScope  string                  `json:"deviceScope,omitempty"`
	ParentScopes []string                `json:"parentScopes,omitempty"`
	ManagedBy    *string                 `json:"managedBy,omitempty"`
}

// ExportImportProperties are the properties of an ExportImportDevice.
type ExportImportProperties struct {
	Desired  json.RawMessage `json:"desired,omitempty"`
	Reported json.RawMessage `json:"reported,omitempty"`
}

// Identity returns whom the entry is for, unchecked.
func (e *ExportImportDevice) Identity() ID { return ID{DeviceID: e.ID, ModuleID: e.ModuleID} }

// Request returns the identity of the entry as a create or replace call has it.
func (e *ExportImportDevice) Request() IdentityRequest {
	return IdentityRequest{
		Status: e.Status, StatusReason: e.StatusReason, Authentication: e.Authentication,
		Capabilities: e.Capabilities, DeviceScope: e.DeviceScope, ParentScopes: e.ParentScopes, ManagedBy: e.ManagedBy,
	}
}

// TwinPatch returns tags and desired properties of the entry, nil for what it does
// not have. Reported properties belong to the device and are passed over, and so
// are $version and $metadata, which an export holds.
func (e *ExportImportDevice) TwinPatch() (TwinPatch, error) {
	var (
		p   TwinPatch
		err error
	)
	if p.Tags, err = optionalObject(e.Tags, "tags"); err != nil || e.Properties == nil {
		return p, err
	}
	p.Desired, err = optionalObject(e.Properties.Desired, "properties.desired")
	delete(p.Desired, "$version")
	delete(p.Desired, "$metadata")
	return p, err
}

func optionalObject(raw json.RawMessage, name string) (map[string]any, error) {
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return nil, nil
	}
	if raw[0] != '{' {
		return nil, NewError(CodeArgumentInvalid, "%q must be a JSON object.", name)
	}
	return DecodeObject(raw)
}

// ExportDevice returns the entry that recreates an identity and its twin. Without
// keys it has no authentication, and a certificate's thumbprint counts as a key.
func ExportDevice(i Identity, t Twin, withKeys bool) (ExportImportDevice, error) {
	e := ExportImportDevice{ID: i.ID.DeviceID, ModuleID: i.ID.ModuleID, ETag: i.ETag, Status: i.Status, TwinETag: t.ETagText()}
	if i.StatusReason != "" {
		e.StatusReason = &i.StatusReason
	}
	if withKeys {
		e.Authentication = &AuthenticationRequest{
			SymmetricKey: &i.Authentication.SymmetricKey, X509Thumbprint: &i.Authentication.X509Thumbprint, Type: i.Authentication.Type,
		}
	}
	if i.ID.IsModule() {
		e.ManagedBy = stringOrNull(i.ManagedBy)
	} else {
		e.Capabilities, e.DeviceScope, e.ParentScopes = &i.Capabilities, i.DeviceScope, i.ParentScopes
	}
	var err error
	if e.Tags, err = appendJSONValue(nil, t.Tags); err != nil {
		return e, err
	}
	e.Properties = &ExportImportProperties{}
	if e.Properties.Desired, err = t.Desired.appendDocument(nil, true); err != nil {
		return e, err
	}
	e.Properties.Reported, err = t.Reported.appendDocument(nil, true)
	return e, err
}

// BulkResult is the answer to a bulk registry operation.
// Source: BulkRegistryOperationResult of the IoT Hub service API 2021-04-12.
type BulkResult struct {
	IsSuccessful bool          `json:"isSuccessful"`
	Errors       []BulkError   `json:"errors"`
	Warnings     []BulkWarning `json:"warnings"`
}

// BulkError tells of an entry that was refused. ErrorCode is the code's name.
type BulkError struct {
	DeviceID    string `json:"deviceId"`
	ModuleID    string `json:"moduleId,omitempty"`
	ErrorCode   string `json:"errorCode"`
	ErrorStatus string `json:"errorStatus"`
	Operation   string `json:"operation,omitempty"`
}

// BulkWarning tells of an entry that was taken in another way than it says.
type BulkWarning struct {
	DeviceID      string `json:"deviceId"`
	WarningCode   string `json:"warningCode"`
	WarningStatus string `json:"warningStatus"`
}

package seed

// Document is a seed file. Its own members are for the default hub.
//
// The tags of the types here are the format: json names a member, doc describes it, and required, enum, min, max and pattern say what
// it must be. The reader and the JSON Schema both follow them.
type Document struct {
	// Schema is for editors; YAML files rather have a comment.
	Schema string `json:"$schema,omitempty" doc:"Where an editor finds the JSON Schema of this file."`
	Hub
	Hubs []NamedHub `json:"hubs,omitempty" doc:"Further hubs, each with its own devices, policies and messages."`
}

// NamedHub is a hub beside the default one.
type NamedHub struct {
	Name      string   `json:"name" required:"true" min:"1" max:"50" pattern:"^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$" doc:"Name of the hub: letters, digits and hyphens."`
	HostNames []string `json:"hostNames,omitempty" doc:"Host names that lead to this hub; NAME.azure-devices.net unless given."`
	Hub
}

// Hub is what a hub shall hold. What is not named stays as it is.
type Hub struct {
	Policies       []Policy        `json:"policies,omitempty" doc:"Shared access policies to add or change."`
	ConsumerGroups []string        `json:"consumerGroups,omitempty" doc:"Consumer groups of the Event Hubs-compatible endpoint, beside $Default."`
	Certificates   []Certificate   `json:"certificates,omitempty" doc:"Certificate authorities of devices that authenticate by certificateAuthority."`
	Endpoints      []Endpoint      `json:"endpoints,omitempty" doc:"Webhooks that routes may name."`
	Routes         []Route         `json:"routes,omitempty" doc:"Message routes."`
	FallbackRoute  *bool           `json:"fallbackRoute,omitempty" doc:"Whether telemetry that fulfils no condition goes to the built-in endpoint."`
	Enrichments    []Enrichment    `json:"enrichments,omitempty" doc:"Message enrichments."`
	Configurations []Configuration `json:"configurations,omitempty" doc:"Automatic device management: configurations and edge deployments."`
	Devices        []Device        `json:"devices,omitempty" doc:"Devices with their twins and modules."`
	Simulations    []Simulation    `json:"simulations,omitempty" doc:"Devices that the emulator plays itself."`
}

// Policy is a shared access policy.
type Policy struct {
	Name         string   `json:"name" required:"true" min:"1" max:"64" doc:"Name of the policy, such as iothubowner."`
	Rights       []string `json:"rights,omitempty" enum:"RegistryRead,RegistryWrite,ServiceConnect,DeviceConnect" doc:"What it allows. A new policy needs them; the five of every hub have theirs."`
	PrimaryKey   string   `json:"primaryKey,omitempty" min:"1" doc:"Base64 of 16 to 64 bytes. A new policy without keys gets random ones."`
	SecondaryKey string   `json:"secondaryKey,omitempty" min:"1" doc:"The same."`
}

// Certificate is a certificate authority: in a file, or here.
type Certificate struct {
	Name        string `json:"name" required:"true" min:"1" max:"64" doc:"Name under which it is registered."`
	File        string `json:"file,omitempty" doc:"PEM file; a relative path begins where this file is."`
	Certificate string `json:"certificate,omitempty" doc:"The certificate itself, as PEM or base64."`
	Verified    *bool  `json:"verified,omitempty" doc:"Whether it is verified without proof of possession; true unless given."`
}

// Endpoint is a webhook.
type Endpoint struct {
	Name string `json:"name" required:"true" min:"1" max:"64" doc:"Name of the endpoint."`
	URL  string `json:"url" required:"true" min:"1" doc:"Where messages are posted to."`
}

// Route sends the messages of a source that fulfil a condition to an endpoint.
type Route struct {
	Name      string `json:"name" required:"true" min:"1" max:"64" doc:"Name of the route."`
	Source    string `json:"source,omitempty" enum:"DeviceMessages,TwinChangeEvents,DeviceLifecycleEvents,DeviceConnectionStateEvents" doc:"DeviceMessages unless given."`
	Condition string `json:"condition,omitempty" doc:"A routing query; always true unless given."`
	Endpoint  string `json:"endpoint,omitempty" doc:"An endpoint, or events for the built-in one, which is the default."`
	Enabled   *bool  `json:"enabled,omitempty" doc:"true unless given."`
}

// Enrichment adds a property to what goes to some endpoints.
type Enrichment struct {
	Key       string   `json:"key" required:"true" min:"1" max:"64" doc:"Name of the property."`
	Value     string   `json:"value" required:"true" min:"1" doc:"A text, $iothubname, or a path such as $twin.tags.site."`
	Endpoints []string `json:"endpoints,omitempty" doc:"The endpoints whose messages get it; events unless given."`
}

// Configuration is one of automatic device management. The content of one that exists does not change, as at the service.
type Configuration struct {
	ID              string            `json:"id" required:"true" min:"1" max:"128" doc:"ID of the configuration, in lower case."`
	SchemaVersion   string            `json:"schemaVersion,omitempty" doc:"Passed on as it is."`
	Labels          map[string]string `json:"labels,omitempty" doc:"Passed on as they are."`
	TargetCondition string            `json:"targetCondition,omitempty" doc:"Which twins it is for."`
	Priority        int               `json:"priority,omitempty" min:"0" doc:"The greater one wins."`
	Content         map[string]any    `json:"content" required:"true" doc:"deviceContent, moduleContent or modulesContent."`
	Metrics         map[string]string `json:"metrics,omitempty" doc:"Queries by name."`
}

// Device is a device with its twin and its modules.
type Device struct {
	ID             string          `json:"id" required:"true" min:"1" max:"128" doc:"Device ID."`
	Status         string          `json:"status,omitempty" enum:"enabled,disabled" doc:"enabled unless given."`
	StatusReason   *string         `json:"statusReason,omitempty" max:"128" doc:"A remark on the status."`
	Authentication *Authentication `json:"authentication,omitempty" doc:"How the device proves itself. A new device without it gets random keys."`
	IoTEdge        *bool           `json:"iotEdge,omitempty" doc:"Whether it is an IoT Edge device."`
	Parent         *string         `json:"parent,omitempty" doc:"Device ID of the IoT Edge device that it is a child of; empty for none."`
	Twin
	ModelID *string  `json:"modelId,omitempty" doc:"The digital twin model that the device announced."`
	Modules []Module `json:"modules,omitempty" doc:"Its modules."`
}

// Module is a module of a device.
type Module struct {
	ID             string          `json:"id" required:"true" min:"1" max:"128" doc:"Module ID."`
	ManagedBy      *string         `json:"managedBy,omitempty" doc:"Who manages the module."`
	Authentication *Authentication `json:"authentication,omitempty" doc:"How the module proves itself. A new module without it gets random keys."`
	Twin
	ModelID *string `json:"modelId,omitempty" doc:"The digital twin model that the module announced."`
}

// Twin is a twin's content. Each value that is named is set, null removes one, and what is not named stays.
type Twin struct {
	Tags     map[string]any `json:"tags,omitempty" doc:"Tags of the twin."`
	Desired  map[string]any `json:"desired,omitempty" doc:"Desired properties."`
	Reported map[string]any `json:"reported,omitempty" doc:"Reported properties, as if the device had reported them."`
}

// Authentication is the credential of a device or module.
type Authentication struct {
	Type                string `json:"type,omitempty" enum:"sas,selfSigned,certificateAuthority" doc:"What the other members tell, sas if there are none."`
	PrimaryKey          string `json:"primaryKey,omitempty" min:"1" doc:"Base64 of 16 to 64 bytes. Without keys a new device gets random ones, and an existing one keeps its own."`
	SecondaryKey        string `json:"secondaryKey,omitempty" min:"1" doc:"The same."`
	PrimaryThumbprint   string `json:"primaryThumbprint,omitempty" pattern:"^([0-9A-Fa-f]{40}|[0-9A-Fa-f]{64})$" doc:"SHA-1 or SHA-256 of the certificate, in hex."`
	SecondaryThumbprint string `json:"secondaryThumbprint,omitempty" pattern:"^([0-9A-Fa-f]{40}|[0-9A-Fa-f]{64})$" doc:"The same."`
}

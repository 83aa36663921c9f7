package seed

// Simulation is a group of simulated devices that do the same. A device that does not exist is created.
type Simulation struct {
	Name      string            `json:"name,omitempty" max:"128" doc:"Name of the simulation; the device ID unless given."`
	Device    string            `json:"device" required:"true" min:"1" max:"128" doc:"Device ID. {n} in it stands for the number of the device, {n:04} for four digits of it."`
	Module    string            `json:"module,omitempty" max:"128" doc:"Module ID, to play this module of each device."`
	Count     *int              `json:"count,omitempty" min:"1" max:"100000" doc:"How many devices; more than one needs {n} in device."`
	First     *int              `json:"first,omitempty" min:"0" max:"1000000000" doc:"The number of the first one; 1 unless given."`
	Seed      int64             `json:"seed,omitempty" min:"-9007199254740991" max:"9007199254740991" doc:"Seed of the random numbers: the same one gives the same numbers."`
	ModelID   string            `json:"modelId,omitempty" doc:"Digital twin model that the devices announce."`
	Telemetry []Telemetry       `json:"telemetry,omitempty" doc:"What they send."`
	Methods   map[string]Method `json:"methods,omitempty" doc:"Direct methods that they answer, by name; * is for all others."`
	Twin      *FollowTwin       `json:"twin,omitempty" doc:"What they do about desired properties."`
	C2D       *Receive          `json:"c2d,omitempty" doc:"What they do about cloud-to-device messages; without it those wait."`
}

// Telemetry is a message that is sent again and again.
type Telemetry struct {
	Every           Duration          `json:"every" required:"true" min:"1ms" max:"24h" doc:"Time from one message to the next. The devices of a simulation are spread over it."`
	Count           int               `json:"count,omitempty" min:"0" doc:"How many messages each device sends; no end unless given."`
	Body            any               `json:"body,omitempty" doc:"A text, or a JSON value. Texts may have placeholders such as {{walk 20 30 0.5}}."`
	ContentType     *string           `json:"contentType,omitempty" doc:"application/json for a body that is a JSON value; a text has none unless given."`
	ContentEncoding *string           `json:"contentEncoding,omitempty" doc:"utf-8 for a body that is a JSON value; a text has none unless given."`
	Properties      map[string]string `json:"properties,omitempty" doc:"Application properties; their values may have placeholders."`
	MessageID       string            `json:"messageId,omitempty" doc:"Message ID; may have placeholders."`
	Component       string            `json:"component,omitempty" doc:"Component of the digital twin that sends it."`
	Output          string            `json:"output,omitempty" doc:"Output of the module that sends it."`
}

// Method answers a direct method.
type Method struct {
	Status  *int     `json:"status,omitempty" doc:"200 unless given."`
	Payload any      `json:"payload,omitempty" doc:"A JSON value whose texts may have placeholders, {{payload}} and {{method}} among them; null unless given."`
	Delay   Duration `json:"delay,omitempty" min:"0s" max:"1h" doc:"Time until the answer."`
	Ignore  bool     `json:"ignore,omitempty" doc:"Whether the device never answers, so that the call times out."`
}

// FollowTwin reports desired properties.
type FollowTwin struct {
	Follow *bool    `json:"follow,omitempty" doc:"Whether desired properties are reported as they are, at the start and when they change; true unless given."`
	Delay  Duration `json:"delay,omitempty" min:"0s" max:"24h" doc:"Time until that."`
}

// Receive settles cloud-to-device messages.
type Receive struct {
	Action string   `json:"action,omitempty" enum:"complete,abandon,reject" doc:"complete unless given."`
	Delay  Duration `json:"delay,omitempty" min:"0s" max:"24h" doc:"Time until that. A lock lasts 60 seconds: what is settled later comes again."`
}

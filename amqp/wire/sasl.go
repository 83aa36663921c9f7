package wire

// SASLMechanisms is the server's first SASL frame (OASIS AMQP 1.0 5.3.3.1). It
// is always written as an array, even for one mechanism: peers insist.
type SASLMechanisms struct {
	Mechanisms []Symbol
}

// SASLInit is the client's choice (OASIS AMQP 1.0 5.3.3.2).
type SASLInit struct {
	Mechanism Symbol
	// InitialResponse is nil for null, which differs from empty. It may hold a
	// secret: never log it.
	InitialResponse []byte
	// HostName is empty for null.
	HostName string
}

// SASLChallenge is OASIS AMQP 1.0 5.3.3.3.
type SASLChallenge struct {
	Challenge []byte
}

// SASLResponse is OASIS AMQP 1.0 5.3.3.4. It may hold a secret: never log it.
type SASLResponse struct {
	Response []byte
}

// SASLCode is the result of a SASL exchange (OASIS AMQP 1.0 5.3.3.6).
type SASLCode uint8

// SASL results.
const (
	SASLOK      SASLCode = 0
	SASLAuth    SASLCode = 1
	SASLSys     SASLCode = 2
	SASLSysPerm SASLCode = 3
	SASLSysTemp SASLCode = 4
)

// SASLOutcome is the server's last SASL frame (OASIS AMQP 1.0 5.3.3.5).
type SASLOutcome struct {
	Result         SASLCode
	AdditionalData []byte
}

// Code implements Performative.
func (*SASLMechanisms) Code() Code { return CodeSASLMechanisms }

// Code implements Performative.
func (*SASLInit) Code() Code { return CodeSASLInit }

// Code implements Performative.
func (*SASLChallenge) Code() Code { return CodeSASLChallenge }

// Code implements Performative.
func (*SASLResponse) Code() Code { return CodeSASLResponse }

// Code implements Performative.
func (*SASLOutcome) Code() Code { return CodeSASLOutcome }

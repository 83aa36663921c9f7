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

// Append implements Performative.
func (p *SASLMechanisms) Append(dst []byte) ([]byte, error) {
	dst, c := beginComposite(dst, CodeSASLMechanisms)
	dst = appendSymbols(dst, p.Mechanisms)
	return c.End(dst, 1), nil
}

// Decode implements Performative.
func (p *SASLMechanisms) Decode(body []byte) (rest []byte, err error) {
	f, rest, err := openComposite(body, CodeSASLMechanisms)
	if err != nil {
		return nil, err
	}
	*p = SASLMechanisms{Mechanisms: f.symbols()}
	if p.Mechanisms == nil {
		f.missing("sasl-mechanisms.sasl-server-mechanisms")
	}
	return rest, f.close()
}

// Append implements Performative.
func (p *SASLInit) Append(dst []byte) ([]byte, error) {
	dst, c := beginComposite(dst, CodeSASLInit)
	dst = AppendSymbol(dst, p.Mechanism)
	dst = appendOptBinary(dst, p.InitialResponse)
	dst = appendOptString(dst, p.HostName)
	return c.End(dst, 3), nil
}

// Decode implements Performative.
func (p *SASLInit) Decode(body []byte) (rest []byte, err error) {
	f, rest, err := openComposite(body, CodeSASLInit)
	if err != nil {
		return nil, err
	}
	*p = SASLInit{
		Mechanism:       Symbol(f.mustString("sasl-init.mechanism")),
		InitialResponse: f.binary(),
		HostName:        f.string(),
	}
	return rest, f.close()
}

// Append implements Performative.
func (p *SASLChallenge) Append(dst []byte) ([]byte, error) {
	dst, c := beginComposite(dst, CodeSASLChallenge)
	return c.End(AppendBinary(dst, p.Challenge), 1), nil
}

// Decode implements Performative.
func (p *SASLChallenge) Decode(body []byte) (rest []byte, err error) {
	f, rest, err := openComposite(body, CodeSASLChallenge)
	if err != nil {
		return nil, err
	}
	*p = SASLChallenge{Challenge: f.binary()}
	return rest, f.close()
}

// Append implements Performative.
func (p *SASLResponse) Append(dst []byte) ([]byte, error) {
	dst, c := beginComposite(dst, CodeSASLResponse)
	return c.End(AppendBinary(dst, p.Response), 1), nil
}

// Decode implements Performative.
func (p *SASLResponse) Decode(body []byte) (rest []byte, err error) {
	f, rest, err := openComposite(body, CodeSASLResponse)
	if err != nil {
		return nil, err
	}
	*p = SASLResponse{Response: f.binary()}
	return rest, f.close()
}

// Append implements Performative.
func (p *SASLOutcome) Append(dst []byte) ([]byte, error) {
	dst, c := beginComposite(dst, CodeSASLOutcome)
	dst = AppendUbyte(dst, uint8(p.Result))
	dst = appendOptBinary(dst, p.AdditionalData)
	return c.End(dst, 2), nil
}

// Decode implements Performative.
func (p *SASLOutcome) Decode(body []byte) (rest []byte, err error) {
	f, rest, err := openComposite(body, CodeSASLOutcome)
	if err != nil {
		return nil, err
	}
	result := f.optUbyte()
	if !result.Set {
		f.missing("sasl-outcome.code")
	}
	*p = SASLOutcome{Result: SASLCode(result.Value), AdditionalData: f.binary()}
	return rest, f.close()
}

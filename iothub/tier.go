package iothub

import (
	"fmt"
	"strings"
)

// Tier is the edition of a hub, which sets its limits and its daily quota.
// Source: IoT Hub pricing; IoT Hub quotas and throttling.
type Tier string

// The tiers. TierNone is a hub without limits of rate and quota.
const (
	TierNone Tier = ""
	TierF1   Tier = "F1"
	TierS1   Tier = "S1"
	TierS2   Tier = "S2"
	TierS3   Tier = "S3"
)

// ParseTier reads a tier's name in any case; "" is TierNone.
func ParseTier(text string) (Tier, error) {
	switch t := Tier(strings.ToUpper(text)); t {
	case TierNone, TierF1, TierS1, TierS2, TierS3:
		return t, nil
	}
	return TierNone, fmt.Errorf("%q is not a tier: use F1, S1, S2 or S3", text)
}

// MaxUnits is how many units a hub of the tier may have; 0 for TierNone.
func (t Tier) MaxUnits() int {
	switch t {
	case TierF1:
		return 1
	case TierS1, TierS2:
		return 200
	case TierS3:
		return 10
	}
	return 0
}

// DailyQuota is the number of messages per UTC day; 0 for TierNone, which has no quota.
func (t Tier) DailyQuota(units int) int64 {
	var perUnit int64
	switch t {
	case TierF1:
		perUnit = 8000
	case TierS1:
		perUnit = 400_000
	case TierS2:
		perUnit = 6_000_000
	case TierS3:
		perUnit = 300_000_000
	}
	return perUnit * int64(units)
}

// Messages is how many messages of the quota a payload of size bytes counts as:
// one for each chunk of 4 KiB (512 bytes in the free tier), and at least one.
func (t Tier) Messages(size int) int64 {
	chunk := 4 << 10
	if t == TierF1 {
		chunk = 512
	}
	return int64(max(1, (size+chunk-1)/chunk))
}

// Throttle is a kind of operation with a limit of its own.
type Throttle string

// The throttles. Their text stands in the answer to a throttled request.
const (
	ThrottleRegistry       Throttle = "IdentityOperation"
	ThrottleC2DSend        Throttle = "CloudToDeviceSend"
	ThrottleC2DReceive     Throttle = "CloudToDeviceReceive"
	ThrottleFileUpload     Throttle = "FileUpload"
	ThrottleJob            Throttle = "JobOperation"
	ThrottleJobDevice      Throttle = "JobDeviceOperation"
	ThrottleConnect        Throttle = "DeviceConnection"
	ThrottleTelemetry      Throttle = "DeviceToCloudSend"
	ThrottleMethod         Throttle = "DirectMethod"
	ThrottleQuery          Throttle = "Query"
	ThrottleTwinRead       Throttle = "TwinRead"
	ThrottleTwinUpdate     Throttle = "TwinUpdate"
	ThrottleConfigurations Throttle = "ConfigurationWrite"
)

// Throttles returns all of them.
func Throttles() []Throttle {
	return []Throttle{
		ThrottleRegistry, ThrottleC2DSend, ThrottleC2DReceive, ThrottleFileUpload, ThrottleJob, ThrottleJobDevice, ThrottleConnect,
		ThrottleTelemetry, ThrottleMethod, ThrottleQuery, ThrottleTwinRead, ThrottleTwinUpdate, ThrottleConfigurations,
	}
}

// Rate is a limit: Amount operations (for ThrottleMethod: bytes of requests) in
// Seconds. An Amount of 0 is no limit.
type Rate struct {
	Amount  float64
	Seconds float64
}

// Rate returns the tier's limit with that many units.
// Source: IoT Hub quotas and throttling, operation throttles.
func (t Tier) Rate(of Throttle, units int) Rate {
	column := 0
	switch t {
	case TierNone:
		return Rate{}
	case TierS2:
		column = 1
	case TierS3:
		column = 2
	}
	n := float64(units)
	perUnit := func(seconds float64, amounts ...float64) Rate { return Rate{amounts[column] * n, seconds} }
	atLeast := func(floors [3]float64, amounts ...float64) Rate {
		return Rate{max(floors[column], amounts[column]*n), 1}
	}
	switch of {
	case ThrottleRegistry, ThrottleC2DSend, ThrottleFileUpload, ThrottleJob:
		return perUnit(60, 100, 100, 5000)
	case ThrottleConnect, ThrottleTelemetry:
		return atLeast([3]float64{100}, 12, 120, 6000)
	case ThrottleC2DReceive:
		return perUnit(60, 1000, 1000, 50_000)
	case ThrottleMethod:
		return perUnit(1, 160<<10, 480<<10, 24<<20)
	case ThrottleQuery:
		return perUnit(60, 20, 20, 1000)
	case ThrottleTwinRead:
		return atLeast([3]float64{100, 100}, 0, 10, 500)
	case ThrottleTwinUpdate:
		return atLeast([3]float64{50, 50}, 0, 5, 250)
	case ThrottleJobDevice:
		return atLeast([3]float64{10, 10}, 0, 1, 50)
	case ThrottleConfigurations:
		return perUnit(60, 20, 20, 20)
	}
	return Rate{}
}

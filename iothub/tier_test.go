package iothub_test

import (
	"testing"

	"github.com/hubnerite/hubnerite/iothub"
)

func TestTierRates(t *testing.T) {
	for _, c := range []struct {
		tier     iothub.Tier
		units    int
		throttle iothub.Throttle
		want     iothub.Rate
	}{
		{iothub.TierF1, 1, iothub.ThrottleRegistry, iothub.Rate{Amount: 100, Seconds: 60}},
		{iothub.TierS1, 3, iothub.ThrottleC2DSend, iothub.Rate{Amount: 300, Seconds: 60}},
		{iothub.TierS3, 2, iothub.ThrottleFileUpload, iothub.Rate{Amount: 10_000, Seconds: 60}},
		{iothub.TierS1, 1, iothub.ThrottleTelemetry, iothub.Rate{Amount: 100, Seconds: 1}},
		{iothub.TierS1, 10, iothub.ThrottleTelemetry, iothub.Rate{Amount: 120, Seconds: 1}},
		{iothub.TierS2, 2, iothub.ThrottleConnect, iothub.Rate{Amount: 240, Seconds: 1}},
		{iothub.TierS2, 20, iothub.ThrottleTwinRead, iothub.Rate{Amount: 200, Seconds: 1}},
		{iothub.TierS2, 2, iothub.ThrottleTwinRead, iothub.Rate{Amount: 100, Seconds: 1}},
		{iothub.TierS1, 100, iothub.ThrottleTwinUpdate, iothub.Rate{Amount: 50, Seconds: 1}},
		{iothub.TierS3, 2, iothub.ThrottleJobDevice, iothub.Rate{Amount: 100, Seconds: 1}},
		{iothub.TierS3, 1, iothub.ThrottleConfigurations, iothub.Rate{Amount: 20, Seconds: 60}},
		{iothub.TierS2, 1, iothub.ThrottleMethod, iothub.Rate{Amount: 480 << 10, Seconds: 1}},
	} {
		if got := c.tier.Rate(c.throttle, c.units); got != c.want {
			t.Errorf("%s x %d, %s: %v, want %v", c.tier, c.units, c.throttle, got, c.want)
		}
	}
	for _, of := range iothub.Throttles() {
		if iothub.TierNone.Rate(of, 1).Amount != 0 {
			t.Errorf("a hub without a tier limits %s", of)
		}
		for _, tier := range []iothub.Tier{iothub.TierF1, iothub.TierS1, iothub.TierS2, iothub.TierS3} {
			if tier.Rate(of, 1).Amount == 0 {
				t.Errorf("%s does not limit %s", tier, of)
			}
		}
	}
}

func TestTierQuota(t *testing.T) {
	if got := iothub.TierS1.DailyQuota(2); got != 800_000 {
		t.Errorf("quota of S1 x 2: %d", got)
	}
	for _, c := range []struct {
		tier iothub.Tier
		size int
		want int64
	}{
		{iothub.TierF1, 0, 1},
		{iothub.TierF1, 512, 1},
		{iothub.TierF1, 513, 2},
		{iothub.TierS1, 4096, 1},
		{iothub.TierS1, 4097, 2},
		{iothub.TierS3, 256 << 10, 64},
	} {
		if got := c.tier.Messages(c.size); got != c.want {
			t.Errorf("%d bytes count as %d messages in %s, want %d", c.size, got, c.tier, c.want)
		}
	}
	if tier, err := iothub.ParseTier("s2"); err != nil || tier != iothub.TierS2 {
		t.Errorf("s2: %v, %v", tier, err)
	}
	if _, err := iothub.ParseTier("S4"); err == nil {
		t.Error("S4 is a tier")
	}
}

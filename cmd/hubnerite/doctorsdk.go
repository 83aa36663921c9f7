package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hubnerite/hubnerite/emulator"
)

// sdkWait is how long a language's program may take; a Java that compiles first takes seconds.
const sdkWait = 60 * time.Second

// sdk is a language that may be installed, with a program that makes a TLS
// handshake as its SDKs do: arguments are address, port and the name to check. It says
// "trusted" or the error.
type sdk struct {
	name     string
	programs []string
	file     string
	source   string
}

func sdks() []sdk {
	return []sdk{
		{"Python", []string{"python3", "python"}, "handshake.py", `import socket, ssl, sys
host, port, name = sys.argv[1:]
try:
    with socket.create_connection((host, int(port)), 10) as plain:
        with ssl.create_default_context().wrap_socket(plain, server_hostname=name):
            print("trusted")
except Exception as e:
    print(e)
`},
		{"Node.js", []string{"node"}, "handshake.js", `const [host, port, name] = process.argv.slice(2);
const c = require('tls').connect({ host, port: Number(port), servername: name }, () => { console.log('trusted'); c.destroy(); });
c.setTimeout(10000, () => c.destroy(new Error('no answer')));
c.on('error', (e) => console.log(e.message));
`},
		{"Java", []string{"java"}, "Handshake.java", `import javax.net.ssl.*;
public class Handshake {
  public static void main(String[] a) {
    try (SSLSocket s = (SSLSocket) SSLSocketFactory.getDefault().createSocket(a[0], Integer.parseInt(a[1]))) {
      SSLParameters p = s.getSSLParameters();
      p.setServerNames(java.util.List.of(new SNIHostName(a[2])));
      s.setSSLParameters(p);
      s.setSoTimeout(10000);
      s.startHandshake();
      System.out.println("trusted");
    } catch (Exception e) { System.out.println(e.getMessage()); }
  }
}
`},
	}
}

// checkSDKs tries every language that is installed, with this shell's variables and
// with those of env.
func (a *app) checkSDKs(info emulator.Info) []finding {
	dir, err := os.MkdirTemp("", "hubnerite-doctor-")
	if err != nil {
		return []finding{{remark, "no SDK can be tried: " + err.Error(), ""}}
	}
	defer func() { _ = os.RemoveAll(dir) }()
	quiet := *a
	quiet.stderr = new(strings.Builder) // which device is meant is no matter here
	variables, err := quiet.variables("")
	if err != nil {
		return []finding{{problem, "env fails: " + err.Error(), ""}}
	}
	environment := os.Environ()
	for _, v := range variables {
		environment = setVariable(environment, v)
	}
	var all []finding
	for _, s := range sdks() {
		program := ""
		for _, name := range s.programs {
			if path, err := exec.LookPath(name); err == nil && program == "" {
				program = path
			}
		}
		if program == "" {
			all = append(all, finding{remark, s.name + " is not installed", ""})
			continue
		}
		host, port := a.httpsAddress(info)
		now := s.try(program, dir, os.Environ(), host, port, info.HostName)
		with := now
		if now != trusted {
			with = s.try(program, dir, environment, host, port, info.HostName)
		}
		byEnv := s.name != "Java" || slices.ContainsFunc(variables, func(v variable) bool { return strings.HasPrefix(v.name, "J") })
		all = append(all, judgeSDK(s.name, program, now, with, byEnv))
	}
	return all
}

const trusted = "trusted"

// judgeSDK takes what the handshakes said, and whether env has something for the language.
func judgeSDK(name, program, now, with string, byEnv bool) finding {
	switch trusted {
	case now:
		return finding{fine, fmt.Sprintf("%s (%s) trusts the certificate", name, program), ""}
	case with:
		return finding{
			remark, fmt.Sprintf("%s (%s) does not trust the certificate from this shell: %s", name, program, now),
			fmt.Sprintf("eval \"$(%s env)\" in this shell, or run programs with \"%s exec -- ...\"; docs/trust.md has more ways", programName(), programName()),
		}
	}
	if !byEnv {
		return finding{
			remark, fmt.Sprintf("%s (%s) does not trust the certificate: %s", name, program, now),
			"it reads no such variable: docs/trust.md says how it is told; \"" + programName() + " ca\" prints the certificate authority",
		}
	}
	return finding{
		problem, fmt.Sprintf("%s (%s) does not trust the certificate, not even with the variables of env: %s", name, program, with),
		"docs/trust.md says what each SDK trusts; \"" + programName() + " ca\" prints the certificate authority",
	}
}

// try runs the handshake and returns the last line of what it says.
func (s sdk) try(program, dir string, environment []string, host string, port int, name string) string {
	file := filepath.Join(dir, s.file)
	if err := os.WriteFile(file, []byte(s.source), 0o600); err != nil {
		return err.Error()
	}
	ctx, cancel := context.WithTimeout(context.Background(), sdkWait)
	defer cancel()
	command := exec.CommandContext(ctx, program, file, host, strconv.Itoa(port), name)
	command.Env, command.Dir = environment, dir
	out, err := command.Output()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	last := lines[len(lines)-1]
	if last == "" && err != nil {
		return err.Error()
	}
	return last
}

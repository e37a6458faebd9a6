package config

import (
	"maps"
	"testing"
)

// What somebody with a broken file reads, to the letter.
func TestErrors(t *testing.T) {
	clearSecrets(t)
	allow(t, "hub") // it has rules already
	const token = "3547264155b541de5cb6a7eae0431a14"
	for name, c := range map[string]struct{ text, want string }{
		"empty":         {"", "config.json:1: unexpected end of JSON input"},
		"cut":           {"{\n\"port\": 1", "config.json:2: unexpected end of JSON input"},
		"syntax":        {"{\n\n\"port\": 1,\n}", "config.json:4: invalid character '}' looking for beginning of object key string"},
		"trailing":      {"{}\n{}", "config.json:2: invalid character '{' after top-level value"},
		"line in text":  {"{\"home\": \"a\nb\"}", `config.json:1: invalid character '\n' in string literal`},
		"not utf-8":     {"{\n\"home\": \"\xff\"}", "config.json:2: not UTF-8"},
		"not an object": {"[]", "config.json:1: must be an object"},
		"typo":          {"{\"s3\":\n{\"prot\": 1}}", `config.json:2: s3.prot: unknown key (did you mean "port"?)`},
		"unknown":       {`{"colour": 1}`, "config.json:1: colour: unknown key"},
		"case":          {`{"Port": 1}`, `config.json:1: Port: unknown key (did you mean "port"?)`},
		"long":          {`{"s3": {"0123456789012345678901234567890123456789x": 1}}`, "config.json:1: s3.0123456789012345678901234567890123456789x: unknown key"},
		"bucket key": {
			`{"buckets": ["` + token + "\",\n{\"name\": \"db\", \"tokne\": \"x\"}]}",
			`config.json:2: buckets[1].tokne: unknown key (did you mean "token"?)`,
		},
		"twice":          {"{\"port\": 1,\n\"host\": \"\",\n\"port\": 1}", "config.json:3: port: given twice, first on line 1"},
		"two errors":     {"{\"port\": \"1\",\n\"hots\": \"\"}", "config.json:1: port: must be a number\nconfig.json:2: hots: unknown key (did you mean \"host\"?)"},
		"number":         {`{"port": null}`, "config.json:1: port: must be a number"},
		"fraction":       {`{"port": 1.5}`, "config.json:1: port: must be a whole number from -2147483648 to 2147483647"},
		"string":         {`{"home": 7}`, "config.json:1: home: must be a string"},
		"bool":           {`{"s3": {"strict_region": "yes"}}`, "config.json:1: s3.strict_region: must be true or false"},
		"list":           {`{"buckets": {}}`, "config.json:1: buckets: must be a list"},
		"object":         {`{"s3": []}`, "config.json:1: s3: must be an object"},
		"bucket":         {`{"buckets": [7]}`, "config.json:1: buckets[0]: must be a token or an object"},
		"size type":      {`{"buckets": [{"max_size": 7}]}`, "config.json:1: buckets[0].max_size: must be a string"},
		"size":           {`{"buckets": [{"max_size": "7 apples"}]}`, `config.json:1: buckets[0].max_size: "7 apples" is not a size; write it like "100GiB"`},
		"huge":           {`{"buckets": [{"max_size": "9EiB"}]}`, `config.json:1: buckets[0].max_size: "9EiB" is not a size; write it like "100GiB"`},
		"duration":       {`{"hooks": {"timeout": "soon"}}`, `config.json:1: hooks.timeout: "soon" is not a duration; write it like "10m", "26h" or "7d"`},
		"range type":     {`{"ftp": {"passive_ports": 7}}`, "config.json:1: ftp.passive_ports: must be a string"},
		"range":          {`{"ftp": {"passive_ports": "9-8"}}`, `config.json:1: ftp.passive_ports: "9-8" is not a range of ports; write it like "30000-30099"`},
		"port":           {`{"port": 65536}`, "config.json:1: port: must be 0 to 65535, not 65536"},
		"same port":      {"{\"port\": 90,\n\"s3\": {\"port\": 90}}", "config.json:2: s3.port: 90 is also port"},
		"metrics":        {"{\"s3\": {\"port\": 9466},\n\"metrics\": {\"port\": 9464}}", "config.json:2: metrics.port: it takes 9464 to 9467, and 9466 is s3.port"},
		"beside":         {"{\"port\": 9463, \"s3\": {\"port\": 9468},\n\"metrics\": {\"port\": 9464, \"host\": \"a b\"}}", `config.json:2: metrics.host: "a b" is neither an address nor a host name`},
		"last port":      {`{"metrics": {"port": 65533}}`, "config.json:1: metrics.port: must be 0 to 65532, not 65533"},
		"host":           {`{"ftp": {"host": "a b"}}`, `config.json:1: ftp.host: "a b" is neither an address nor a host name`},
		"like address":   {`{"host": "300.1.1.1"}`, `config.json:1: host: "300.1.1.1" is neither an address nor a host name`},
		"number host":    {`{"host": "7"}`, `config.json:1: host: "7" is neither an address nor a host name`},
		"relative store": {`{"storage": {"path": "store"}}`, `config.json:1: storage.path: "store" must begin with a slash`},
		"home is all":    {`{"home": "//"}`, `config.json:1: home: must not be the root directory`},
		"home is store":  {"{\"home\": \"/srv/x/\",\n\"storage\": {\"path\": \"/srv/y/../x\"}}", `config.json:1: home: /srv/x is in the store, storage.path; it takes a directory of its own`},
		"home in store":  {`{"home": "/var/lib/file-bucket/store/files"}`, `config.json:1: home: /var/lib/file-bucket/store/files is in the store, storage.path; it takes a directory of its own`},
		"short token":    {`{"buckets": ["short"]}`, `config.json:1: buckets[0]: must be 8 to 128 of A-Z, a-z, 0-9, "_" and "-"`},
		"empty token":    {`{"buckets": [""]}`, `config.json:1: buckets[0]: must be 8 to 128 of A-Z, a-z, 0-9, "_" and "-"`},
		"old, named":     {`{"buckets": [{"name": "db", "token": "Zm9v+YmFyYmF6cXV4Zm9vYmFyYm.~ab="}]}`, `config.json:1: buckets[0].token: must be 8 to 128 of A-Z, a-z, 0-9, "_" and "-"`},
		"old, hidden":    {`{"buckets": [".m9v+YmFyYmF6cXV4Zm9vYmFyYm.~ab="]}`, `config.json:1: buckets[0]: must be 8 to 128 of A-Z, a-z, 0-9, "_" and "-"`},
		"token path":     {`{"buckets": ["../../etc/passwd"]}`, `config.json:1: buckets[0]: must be 8 to 128 of A-Z, a-z, 0-9, "_" and "-"`},
		"same token": {
			`{"buckets": ["` + token + "\",\n{\"name\": \"db\", \"tokens\": [\"" + token + `"]}]}`,
			"config.json:2: buckets[1].tokens[0]: is the same token as buckets[0]",
		},
		"same hash": {
			"{\"buckets\": [\"password\",\n{\"name\": \"db\", \"token_sha256\": \"5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8\"}]}",
			"config.json:2: buckets[1].token_sha256: is the same token as buckets[0]",
		},
		"same hash as beside it": {
			"{\"buckets\": [{\"name\": \"db\", \"token\": \"password\",\n\"token_sha256\": [\"5E884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8\"]}]}",
			"config.json:1: buckets[0].token: is the same token as buckets[0].token_sha256[0]",
		},
		"same hash twice": {
			"{\"buckets\": [{\"name\": \"db\", \"token_sha256\": [\"5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8\",\n\"5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8\"]}]}",
			"config.json:2: buckets[0].token_sha256[1]: is the same token as buckets[0].token_sha256[0]",
		},
		"no hashes":  {`{"buckets": [{"name": "db", "token": "token-one", "token_sha256": []}]}`, "config.json:1: buckets[0].token_sha256: must not be empty"},
		"empty hash": {`{"buckets": [{"name": "db", "token_sha256": ""}]}`, "config.json:1: buckets[0].token_sha256: must not be empty"},
		"one bad hash of two": {
			"{\"buckets\": [{\"name\": \"db\", \"token_sha256\": [\"5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8\",\n\"abc\"]}]}",
			"config.json:2: buckets[0].token_sha256[1]: must be the 64 hex digits of a SHA-256",
		},
		"same name": {
			"{\"buckets\": [{\"name\": \"db\", \"token\": \"token-one\"},\n{\"name\": \"db\", \"token\": \"token-two\"}]}",
			`config.json:2: buckets[1].name: "db" is also buckets[0].name`,
		},
		"no name":    {`{"buckets": [{"token": "token-one"}]}`, "config.json:1: buckets[0]: has no name; a token without a name is written as a string"},
		"empty name": {`{"buckets": [{"name": "", "token": "token-one"}]}`, "config.json:1: buckets[0].name: must not be empty"},
		"no token":   {`{"buckets": [{"name": "db"}]}`, "config.json:1: buckets[0]: has no token: it takes token, token_file or tokens, and token_sha256"},
		"two tokens": {
			`{"buckets": [{"name": "db", "token": "token-one", "tokens": ["token-two"]}]}`,
			"config.json:1: buckets[0]: must have only one of token, token_file and tokens",
		},
		"aging": {
			"{\"buckets\": [{\"name\": \"db\", \"token\": \"token-one\", \"expect\": \"299s\",\n\"keep\": -1,\n\"max_age\": \"1m\"}]}",
			"config.json:1: buckets[0].expect: must be at least 5m\nconfig.json:2: buckets[0].keep: must not be negative\nconfig.json:3: buckets[0].max_age: must be at least 1d",
		},
		"no tokens":    {`{"buckets": [{"name": "db", "tokens": []}]}`, "config.json:1: buckets[0].tokens: must not be empty"},
		"bad hash":     {`{"buckets": [{"name": "db", "token_sha256": "abc"}]}`, "config.json:1: buckets[0].token_sha256: must be the 64 hex digits of a SHA-256"},
		"proxy name":   {`{"trusted_proxies": ["proxy.lan"]}`, `config.json:1: trusted_proxies[0]: "proxy.lan" is neither an address nor a network; write it like "192.0.2.1" or "10.0.0.0/8"`},
		"proxy zone":   {`{"trusted_proxies": ["::1", "fe80::1%eth0"]}`, `config.json:1: trusted_proxies[1]: "fe80::1%eth0" is neither an address nor a network; write it like "192.0.2.1" or "10.0.0.0/8"`},
		"proxy bits":   {`{"trusted_proxies": ["10.1.2.3/8"]}`, `config.json:1: trusted_proxies[0]: "10.1.2.3/8" is an address in the network 10.0.0.0/8; write one of the two`},
		"mapped proxy": {`{"trusted_proxies": ["::ffff:10.0.0.0/104"]}`, `config.json:1: trusted_proxies[0]: "::ffff:10.0.0.0/104" is a network of IPv4 addresses in IPv6; write it like "10.0.0.0/8"`},
		"proxy string": {`{"trusted_proxies": "10.0.0.1"}`, "config.json:1: trusted_proxies: must be a list"},
		"driver":       {`{"storage": {"driver": "disk", "endpoint": "https://huggingface.co"}}`, `config.json:1: storage.endpoint: is for the driver "hub" only`},
		"one s3 key":   {"{\"s3\":\n{\"access_key\": \"AK\"}}", "config.json:2: s3.access_key: is set but s3.secret_key is not; set both or neither"},
		"other s3 key": {"{\"s3\":\n{\"secret_key\": \"SK\"}}", "config.json:2: s3.secret_key: is set but s3.access_key is not; set both or neither"},
		"ftp login":    {`{"ftp": {"username": "u"}}`, "config.json:1: ftp.username: is set but ftp.password is not; set both or neither"},
		"tls":          {`{"tls": {"cert": "/a"}}`, "config.json:1: tls.cert: is set but tls.key is not; set both or neither"},
		"region":       {`{"s3": {"region": ""}}`, `config.json:1: s3.region: must be letters, digits, ".", "_" and "-"`},
		"access key":   {`{"s3": {"access_key": "a/b", "secret_key": "c"}}`, `config.json:1: s3.access_key: must be printable ASCII without spaces, "/", "," and "="`},
		"half key":     {`{"s3": {"keys": [{"access_key": "a"}]}}`, "config.json:1: s3.keys[0].secret_key: must not be empty"},
		"other half":   {`{"s3": {"keys": [{"secret_key": "a"}]}}`, "config.json:1: s3.keys[0].access_key: must not be empty"},
		"empty key":    {`{"s3": {"keys": [{"mode": "read"}]}}`, "config.json:1: s3.keys[0]: must have an access_key and a secret_key"},
		"short upload": {`{"s3": {"upload_expiry": "59m"}}`, "config.json:1: s3.upload_expiry: must be at least 1h"},
		"no expiry":    {`{"s3": {"upload_expiry": ""}}`, "config.json:1: s3.upload_expiry: must be at least 1h"},
		"same key": {
			"{\"s3\": {\"access_key\": \"a\", \"secret_key\": \"b\",\n\"keys\": [{\"access_key\": \"a\", \"secret_key\": \"b\"}]}}",
			"config.json:2: s3.keys[0].access_key: is also s3.access_key",
		},
		"mode":       {`{"s3": {"keys": [{"access_key": "a", "secret_key": "b", "mode": "all"}]}}`, `config.json:1: s3.keys[0].mode: must be "read" or "write" or "create", not "all"`},
		"no buckets": {`{"s3": {"keys": [{"access_key": "a", "secret_key": "b", "buckets": []}]}}`, "config.json:1: s3.keys[0].buckets: must not be empty; leave it out for all buckets"},
		"bucket twice": {
			"{\"s3\": {\"keys\": [{\"access_key\": \"a\", \"secret_key\": \"b\",\n\"buckets\": [\"db01\", \"db02\",\n\"db01\"]}]}}",
			`config.json:3: s3.keys[0].buckets[2]: "db01" is also s3.keys[0].buckets[0]`,
		},
		"scope types":   {`{"s3": {"keys": [{"buckets": "db01", "prefix": 1, "mode": ["read"]}]}}`, "config.json:1: s3.keys[0].buckets: must be a list\nconfig.json:1: s3.keys[0].prefix: must be a string\nconfig.json:1: s3.keys[0].mode: must be a string"},
		"default owner": {`{"s3": {"keys": [{"access_key": "a", "secret_key": "b", "owner": "default"}]}}`, `config.json:1: s3.keys[0].owner: must not be "default", which is what the owner of keys without one is called; leave it out`},
		"odd owner":     {`{"s3": {"keys": [{"access_key": "a", "secret_key": "b", "owner": "a\u0007"}]}}`, "config.json:1: s3.keys[0].owner: must not hold control characters"},
		"domain":        {`{"s3": {"domain": "s3.lan:9000"}}`, `config.json:1: s3.domain: "s3.lan:9000" is not the name of a host; write it without port and leading dot, like "s3.example.com"`},
		"domains":       {"{\"s3\": {\"domain\": [\"s3.lan\", \".lan\",\n\"192.0.2.1\", \"\", \"S3.lan\", \"a..b\"]}}", "config.json:1: s3.domain[1]: \".lan\" is not the name of a host; write it without port and leading dot, like \"s3.example.com\"\nconfig.json:2: s3.domain[2]: \"192.0.2.1\" is not the name of a host; write it without port and leading dot, like \"s3.example.com\"\nconfig.json:2: s3.domain[3]: \"\" is not the name of a host; write it without port and leading dot, like \"s3.example.com\"\nconfig.json:2: s3.domain[4]: \"S3.lan\" is also s3.domain[0]\nconfig.json:2: s3.domain[5]: \"a..b\" is not the name of a host; write it without port and leading dot, like \"s3.example.com\""},
		"domain type":   {`{"s3": {"domain": 7}}`, "config.json:1: s3.domain: must be a string or a list of strings"},
		"ftp password":  {`{"ftp": {"password": "p"}}`, "config.json:1: ftp.password: is set but ftp.username is not; set both or neither"},
		"ftp control":   {`{"ftp": {"username": "u", "password": "p\n"}}`, "config.json:1: ftp.password: must not hold control characters"},
		"ftp user":      {`{"ftp": {"username": "u\r", "password": "p"}}`, "config.json:1: ftp.username: must not hold control characters"},
		"ftp ports":     {`{"port": 30000, "ftp": {"passive_ports": "30000-30099"}}`, "config.json:1: ftp.passive_ports: 30000-30099 holds 30000, which is port"},
		"ftp own port":  {`{"ftp": {"port": 2121, "passive_ports": "2000-2121"}}`, "config.json:1: ftp.passive_ports: 2000-2121 holds 2121, which is ftp.port"},
		"ftp metrics":   {`{"ftp": {"passive_ports": "9467-9500"}, "metrics": {"port": 9464}}`, "config.json:1: ftp.passive_ports: 9467-9500 holds 9467, which is metrics.port"},
		"public host":   {`{"ftp": {"public_host": "ftp.example"}}`, `config.json:1: ftp.public_host: "ftp.example" is not an IPv4 address`},
		"public url":    {`{"hub": {"public_url": "ftp://x"}}`, `config.json:1: hub.public_url: "ftp://x" is not an http or https URL`},
		"role":          {`{"hub": {"tokens": [{"token": "t", "role": "admin"}]}}`, `config.json:1: hub.tokens[0].role: must be "read" or "write", not "admin"`},
		"hub token":     {`{"hub": {"tokens": [{"role": "read"}]}}`, "config.json:1: hub.tokens[0].token: must not be empty"},
		"namespace":     {`{"hub": {"namespace": ""}}`, "config.json:1: hub.namespace: must not be empty"},
		"hook failure":  {`{"hooks": {"failure": "maybe"}}`, `config.json:1: hooks.failure: must be "deny" or "allow", not "maybe"`},
		"hook timeout":  {`{"hooks": {"timeout": ""}}`, "config.json:1: hooks.timeout: must be at least 1s"},
		"failure":       {`{"log": {"level": "loud"}}`, `config.json:1: log.level: must be "debug" or "info" or "warn" or "error", not "loud"`},
		"home":          {`{"home": ""}`, "config.json:1: home: must not be empty"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse("config.json", []byte(c.text), false)
			if err == nil {
				t.Fatalf("no error, want %s", c.want)
			}
			if err.Error() != c.want {
				t.Errorf("got  %s\nwant %s", err, c.want)
			}
		})
	}
}

// allow takes keys off the list of what is not supported, for one test.
func allow(t *testing.T, keys ...string) {
	t.Helper()
	before := maps.Clone(unsupported)
	t.Cleanup(func() { unsupported = before })
	for _, key := range keys {
		delete(unsupported, key)
	}
}

func TestUnsupported(t *testing.T) {
	clearSecrets(t)
	const bucket = `{"buckets": [{"name": "db", "token": "token-one", `
	for _, c := range []struct{ text, key string }{
		{`{"storage": {"driver": "hub"}}`, "storage.driver"},
		{`{"hub": {}}`, "hub"},
		{`{"hub": {"port": 8090}}`, "hub"},
	} {
		_, err := parse("config.json", []byte(c.text), false)
		if want := "config.json:1: " + c.key + ": is not supported by this version"; err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", c.text, err, want)
		}
	}
	// What asks for what happens anyway misleads nobody.
	mustParse(t, bucket+`"quota": "", "stamp": false, "expect": "", "keep": 0, "max_age": ""}],
"storage": {"driver": "disk"}, "s3": {"domain": ""}, "metrics": {"port": 0}, "trusted_proxies": []}`)
}

// Every entry must name a field, or it protects nobody.
func TestUnsupportedAreKnown(t *testing.T) {
	known := make(map[string]bool)
	walkKeys("", Default(), known)
	for key := range unsupported {
		if !known[key] {
			t.Errorf("%s is not a key", key)
		}
	}
}

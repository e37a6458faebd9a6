package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// maxSecret bounds a secret's file in bytes.
const maxSecret = 64 << 10

// A secret has several sources. The later wins: the value in the file, the
// file it names, the systemd credential, the environment variable.
type secret struct {
	value      *string
	key        string  // of the value
	file       *string // "…_file", or nil
	credential string
	env        string
	name       *string // that it is the secret of, or nil
	nameEnv    string  // which env goes with
}

// Names of systemd credentials. The S3 door is handed the one, and the FTP door the other.
const (
	S3Credential  = "s3-secret-key"
	FTPCredential = "ftp-password"
)

// heldElsewhere says whether a secret that this process does not have may be one that systemd hands to the door which needs
// it, and to nobody else: a service cannot know what others are handed, and an administrator's shell only what systemd's
// stores hold. The door itself refuses to do without.
func heldElsewhere(credential string) bool {
	return os.Getenv("INVOCATION_ID") != "" || stored(credential, credentialStores()...) != ""
}

func credentialStores() []string {
	return []string{"/etc/credstore", "/etc/credstore.encrypted", "/run/credstore", "/run/credstore.encrypted"}
}

// CredentialFiles are the files, which need not be there, that systemd takes a credential from when the unit names no other.
func CredentialFiles(credential string) []string {
	var files []string
	for _, dir := range credentialStores() {
		if credential != "" {
			files = append(files, filepath.Join(dir, credential))
		}
	}
	return files
}

// stored returns the file that one of the directories has a credential in, or nothing.
func stored(credential string, dirs ...string) string {
	for _, dir := range dirs {
		path := filepath.Join(dir, credential)
		if _, err := os.Lstat(path); err == nil {
			return path
		}
	}
	return ""
}

// S3SecretPlace says, for people, where the secret of s3.access_key is when this process does not have it: systemd hands it to
// the S3 door alone.
func S3SecretPlace() string {
	place := "the systemd credential " + S3Credential
	if path := stored(S3Credential, credentialStores()...); path != "" {
		place += ", " + path
	}
	return place
}

// FTPPasswordPlace is S3SecretPlace for the password of ftp.username.
func FTPPasswordPlace() string {
	place := "the systemd credential " + FTPCredential
	if path := stored(FTPCredential, credentialStores()...); path != "" {
		place += ", " + path
	}
	return place
}

// secrets lists every secret of a configuration.
func secrets(cfg *Config) []secret {
	list := []secret{
		{value: &cfg.S3.AccessKey, key: "s3.access_key", env: "AWS_ACCESS_KEY_ID"},
		{
			value: &cfg.S3.SecretKey, key: "s3.secret_key", file: &cfg.S3.SecretKeyFile,
			credential: S3Credential, env: "AWS_SECRET_ACCESS_KEY", name: &cfg.S3.AccessKey, nameEnv: "AWS_ACCESS_KEY_ID",
		},
		{value: &cfg.FTP.Username, key: "ftp.username", env: "FTP_USERNAME"},
		{
			value: &cfg.FTP.Password, key: "ftp.password", file: &cfg.FTP.PasswordFile,
			credential: FTPCredential, env: "FTP_PASSWORD", name: &cfg.FTP.Username, nameEnv: "FTP_USERNAME",
		},
	}
	if cfg.Storage.Driver == "hub" {
		list = append(list, secret{
			value: &cfg.Storage.Token, key: "storage.token", file: &cfg.Storage.TokenFile,
			credential: "hf-token", env: "HF_TOKEN",
		})
	}
	for i := range cfg.S3.Keys {
		k := &cfg.S3.Keys[i]
		list = append(list, secret{value: &k.SecretKey, key: Index("s3.keys", i) + ".secret_key", file: &k.SecretKeyFile})
	}
	for i := range cfg.Hub.Tokens {
		t := &cfg.Hub.Tokens[i]
		list = append(list, secret{value: &t.Token, key: Index("hub.tokens", i) + ".token", file: &t.TokenFile})
	}
	for i := range cfg.Buckets {
		b := &cfg.Buckets[i]
		list = append(list, secret{value: &b.Token, key: Index("buckets", i) + ".token", file: &b.TokenFile})
	}
	return list
}

// fetchSecrets replaces the secrets that have a better source than the file. inShell is that of LoadInShell.
func fetchSecrets(cfg *Config, inShell bool) []*Error {
	var errs []*Error
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	for _, s := range secrets(cfg) {
		if s.file != nil && *s.file != "" {
			text, err := readSecret(*s.file)
			if err != nil {
				errs = append(errs, cfg.Problem(s.key+"_file", "%s", err))
				continue
			}
			*s.value = text
		}
		if dir != "" && s.credential != "" {
			text, err := readSecret(filepath.Join(dir, s.credential))
			switch {
			case err == nil:
				*s.value = text
			case !errors.Is(err, fs.ErrNotExist):
				errs = append(errs, cfg.Problem(s.key, "systemd credential: %s", err))
			}
		}
		if text := os.Getenv(s.env); s.env != "" && text != "" && (!inShell || s.open()) {
			*s.value = text
		}
	}
	return errs
}

// open says whether the configuration leaves a secret to a shell's environment, which must not have one that goes with another name.
func (s *secret) open() bool {
	if *s.value != "" {
		return false
	}
	named := os.Getenv(s.nameEnv)
	return s.name == nil || named == "" || named == *s.name
}

// SecretFiles are the files that hold secrets: the configuration itself, those
// that it names, and the key of the certificate.
func (c *Config) SecretFiles() []string {
	list := []string{c.file}
	for _, s := range secrets(c) {
		if s.file != nil && *s.file != "" {
			list = append(list, *s.file)
		}
	}
	if c.TLS.Key != "" {
		list = append(list, c.TLS.Key)
	}
	return list
}

// pipeTime is for how long a pipe is read.
const pipeTime = 10 * time.Second

// openFile opens a file, or a pipe.
func openFile(path string) (*os.File, error) {
	// To open a FIFO would wait for a writer, who may never come.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	switch {
	case err != nil || fi.Mode().IsRegular():
	case fi.Mode()&fs.ModeNamedPipe != 0:
		err = f.SetReadDeadline(time.Now().Add(pipeTime))
	default:
		err = errors.New(path + " is not a regular file")
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// readSecret reads a secret from a file, without the line end that editors add.
func readSecret(path string) (string, error) {
	data, err := readFile(path, maxSecret)
	if err != nil {
		return "", err
	}
	text := strings.TrimRight(string(data), "\r\n")
	if text == "" {
		return "", errors.New(path + " is empty")
	}
	return text, nil
}

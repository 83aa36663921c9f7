package emulator_test

import (
	"io"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"

	"github.com/hubnerite/hubnerite/admin"
	"github.com/hubnerite/hubnerite/emulator"
)

func blobClient(t testing.TB, e *emulator.Emulator, account admin.Storage) *azblob.Client {
	t.Helper()
	client, err := azblob.NewClientFromConnectionString(account.ConnectionString, &azblob.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: httpClient(t, e)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func writeBlob(t testing.TB, e *emulator.Emulator, account admin.Storage, name, content string) {
	t.Helper()
	if _, err := blobClient(t, e, account).UploadBuffer(t.Context(), account.Container, name, []byte(content), nil); err != nil {
		t.Fatal(err)
	}
}

func readBlob(t testing.TB, e *emulator.Emulator, account admin.Storage, name string) string {
	t.Helper()
	response, err := blobClient(t, e, account).DownloadStream(t.Context(), account.Container, name, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

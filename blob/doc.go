// Package blob is an Azure Blob storage account, as far as programs around an IoT
// hub need one: the SDKs' helpers for uploading files, back ends that read and
// list what was uploaded, and import and export jobs.
//
// Server is the account as an http.Handler over files in a folder. It streams:
// no request keeps more than some kilobytes in memory, whatever its size. Account
// is the name, the key and the address of an account, this one or any other, and
// makes shared access signatures.
//
// What the service has beyond that (page and append blobs, leases, snapshots,
// copies, tags, access policies, other services) is refused by name.
// Source of all of it: Azure Storage, Blob service REST API.
package blob

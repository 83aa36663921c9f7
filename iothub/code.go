package iothub

import "slices"

// Code is an IoT Hub error code of six digits; its first three are the HTTP
// status. A code NNN000 is the generic one of its status. Source: "Understand
// and resolve Azure IoT Hub errors" and the error code enumerations of the
// service SDKs.
type Code int

// The error codes, with the names that the service sends in iothub-errorcode.
const (
	CodeGenericBadRequest                           Code = 400000
	CodeInvalidProtocolVersion                      Code = 400001
	CodeDeviceInvalidResultCount                    Code = 400002
	CodeInvalidOperation                            Code = 400003
	CodeArgumentInvalid                             Code = 400004
	CodeArgumentNull                                Code = 400005
	CodeIotHubFormatError                           Code = 400006
	CodeDeviceStorageEntitySerializationError       Code = 400007
	CodeBlobContainerValidationError                Code = 400008
	CodeImportWarningExistsError                    Code = 400009
	CodeInvalidSchemaVersion                        Code = 400010
	CodeDeviceDefinedMultipleTimes                  Code = 400011
	CodeDeserializationError                        Code = 400012
	CodeBulkRegistryOperationFailure                Code = 400013
	CodeDefaultStorageEndpointNotConfigured         Code = 400014
	CodeInvalidFileUploadCorrelationId              Code = 400015
	CodeExpiredFileUploadCorrelationId              Code = 400016
	CodeInvalidStorageEndpoint                      Code = 400017
	CodeInvalidMessagingEndpoint                    Code = 400018
	CodeInvalidFileUploadCompletionStatus           Code = 400019
	CodeInvalidStorageEndpointOrBlob                Code = 400020
	CodeRequestCanceled                             Code = 400021
	CodeInvalidStorageEndpointProperty              Code = 400022
	CodeEtagDoesNotMatch                            Code = 400023
	CodeRequestTimedOut                             Code = 400024
	CodeUnsupportedOperationOnReplica               Code = 400025
	CodeNullMessage                                 Code = 400026
	CodeConnectionForcefullyClosedOnNewConnection   Code = 400027
	CodeInvalidDeviceScope                          Code = 400028
	CodeConnectionForcefullyClosedOnFaultInjection  Code = 400029
	CodeConnectionRejectedOnFaultInjection          Code = 400030
	CodeInvalidEndpointAuthenticationType           Code = 400031
	CodeManagedIdentityNotEnabled                   Code = 400032
	CodeInvalidPolicyKey                            Code = 400035
	CodeBulkRegenerateDeviceKeyOperationFailure     Code = 400036
	CodeInvalidRouteTestInput                       Code = 400100
	CodeInvalidSourceOnRoute                        Code = 400101
	CodeRoutingNotEnabled                           Code = 400102
	CodeInvalidContentEncodingOrType                Code = 400103
	CodeCannotRegisterModuleToModule                Code = 400301
	CodeTenantHubRoutingNotEnabled                  Code = 400302
	CodeInvalidConfigurationTargetCondition         Code = 400401
	CodeInvalidConfigurationContent                 Code = 400402
	CodeCannotModifyImmutableConfigurationContent   Code = 400403
	CodeInvalidConfigurationCustomMetricsQuery      Code = 400404
	CodeInvalidPnPInterfaceDefinition               Code = 400501
	CodeInvalidPnPDesiredProperties                 Code = 400502
	CodeInvalidPnPReportedProperties                Code = 400503
	CodeInvalidPnPWritableReportedProperties        Code = 400504
	CodeInvalidDigitalTwinJsonPatch                 Code = 400505
	CodeInvalidDigitalTwinPayload                   Code = 400506
	CodeInvalidDigitalTwinPatch                     Code = 400507
	CodeInvalidDigitalTwinPatchPath                 Code = 400508
	CodeGenericUnauthorized                         Code = 401000
	CodeIotHubNotFound                              Code = 401001
	CodeIotHubUnauthorizedAccess                    Code = 401002
	CodeIotHubUnauthorized                          Code = 401003
	CodeElasticPoolNotFound                         Code = 401004
	CodeSystemModuleModifyUnauthorizedAccess        Code = 401100
	CodeGenericForbidden                            Code = 403000
	CodeIotHubSuspended                             Code = 403001
	CodeIotHubQuotaExceeded                         Code = 403002
	CodeJobQuotaExceeded                            Code = 403003
	CodeDeviceMaximumQueueDepthExceeded             Code = 403004
	CodeIotHubMaxCbsTokenExceeded                   Code = 403005
	CodeDeviceMaximumActiveFileUploadLimitExceeded  Code = 403006
	CodeDeviceMaximumQueueSizeExceeded              Code = 403007
	CodeRoutingEndpointResponseForbidden            Code = 403008
	CodeInvalidMessageExpiryTime                    Code = 403009
	CodeOperationNotAvailableInCurrentTier          Code = 403010
	CodeKeyEncryptionKeyRevoked                     Code = 403011
	CodeDeviceDisabled                              Code = 403012
	CodeDeviceModelMaxPropertiesExceeded            Code = 403100
	CodeDeviceModelMaxIndexablePropertiesExceeded   Code = 403101
	CodeDeviceMaximumInflightMethodExceeded         Code = 403800
	CodeGenericNotFound                             Code = 404000
	CodeDeviceNotFound                              Code = 404001
	CodeJobNotFound                                 Code = 404002
	CodeQuotaMetricNotFound                         Code = 404004
	CodeSystemPropertyNotFound                      Code = 404005
	CodeAmqpAddressNotFound                         Code = 404006
	CodeRoutingEndpointResponseNotFound             Code = 404007
	CodeCertificateNotFound                         Code = 404008
	CodeElasticPoolTenantHubNotFound                Code = 404009
	CodeModuleNotFound                              Code = 404010
	CodeAzureTableStoreNotFound                     Code = 404011
	CodeIotHubFailingOver                           Code = 404012
	CodeFeatureNotSupported                         Code = 404013
	CodeDigitalTwinInterfaceNotFound                Code = 404014
	CodeQueryStoreClusterNotFound                   Code = 404101
	CodeDeviceNotOnline                             Code = 404103
	CodeDeviceConnectionClosedRemotely              Code = 404104
	CodeConfigurationNotFound                       Code = 404301
	CodeGroupNotFound                               Code = 404302
	CodeDigitalTwinModelNotFound                    Code = 404401
	CodeInterfaceNameModelNotFound                  Code = 404402
	CodeGenericMethodNotAllowed                     Code = 405000
	CodeOperationNotAllowedInCurrentState           Code = 405102
	CodeImportDevicesNotSupported                   Code = 405103
	CodeBulkAddDevicesNotSupported                  Code = 405104
	CodeGenericConflict                             Code = 409000
	CodeDeviceAlreadyExists                         Code = 409001
	CodeLinkCreationConflict                        Code = 409002
	CodeCallbackSubscriptionConflict                Code = 409003
	CodeModelAlreadyExists                          Code = 409101
	CodeDeviceLocked                                Code = 409102
	CodeDeviceJobAlreadyExists                      Code = 409103
	CodeJobAlreadyExists                            Code = 409104
	CodeModuleAlreadyExistsOnDevice                 Code = 409301
	CodeConfigurationAlreadyExists                  Code = 409401
	CodeApplyConfigurationAlreadyInProgressOnDevice Code = 409402
	CodeGenericPreconditionFailed                   Code = 412000
	CodePreconditionFailed                          Code = 412001
	CodeDeviceMessageLockLost                       Code = 412002
	CodeJobRunPreconditionFailed                    Code = 412003
	CodeInflightMessagesInLink                      Code = 412004
	CodeGenericRequestEntityTooLarge                Code = 413000
	CodeMessageTooLarge                             Code = 413001
	CodeTooManyDevices                              Code = 413002
	CodeTooManyModulesOnDevice                      Code = 413003
	CodeConfigurationCountLimitExceeded             Code = 413101
	CodeDigitalTwinModelCountLimitExceeded          Code = 413201
	CodeDigitalTwinInterfaceCountLimitExceeded      Code = 413202
	CodeGenericUnsupportedMediaType                 Code = 415000
	CodeIncompatibleDataType                        Code = 415101
	CodeGenericTooManyRequests                      Code = 429000
	CodeThrottlingException                         Code = 429001
	CodeThrottleBacklogLimitExceeded                Code = 429002
	CodeThrottlingBacklogTimeout                    Code = 429003
	CodeThrottlingMaxActiveJobCountExceeded         Code = 429004
	CodeDeviceThrottlingLimitExceeded               Code = 429005
	CodeClientClosedRequest                         Code = 499000
	CodeGenericServerError                          Code = 500000
	CodeServerError                                 Code = 500001
	CodeGenericTimeout                              Code = 500008
	CodeGenericNotImplemented                       Code = 501000
	CodeGenericServiceUnavailable                   Code = 503000
	CodeServiceUnavailable                          Code = 503001
	CodePartitionNotFound                           Code = 503003
	CodeIotHubActivationFailed                      Code = 503004
	CodeServerBusy                                  Code = 503005
	CodeIotHubRestoring                             Code = 503006
	CodeReceiveLinkOpensThrottled                   Code = 503008
	CodeConnectionUnavailable                       Code = 503101
	CodeDeviceUnavailable                           Code = 503102
	CodeConfigurationNotAvailable                   Code = 503201
	CodeGroupNotAvailable                           Code = 503202
	CodeHostingServiceNotAvailable                  Code = 503301
	CodeGenericGatewayTimeout                       Code = 504000
	CodeGatewayTimeout                              Code = 504101
)

// named is a row of the catalogue.
type named struct {
	code Code
	name string
}

// Codes returns every code of the catalogue in rising order.
func Codes() []Code {
	rows := catalogue()
	codes := make([]Code, len(rows))
	for i, row := range rows {
		codes[i] = row.code
	}
	return codes
}

// String returns the name of the code as the service spells it, or "Unknown".
func (c Code) String() string {
	rows := catalogue()
	i, found := slices.BinarySearchFunc(rows, c, func(row named, c Code) int { return int(row.code - c) })
	if !found {
		return "Unknown"
	}
	return rows[i].name
}

// catalogue is in rising order of the codes.
func catalogue() []named {
	return []named{
		{CodeGenericBadRequest, "GenericBadRequest"},
		{CodeInvalidProtocolVersion, "InvalidProtocolVersion"},
		{CodeDeviceInvalidResultCount, "DeviceInvalidResultCount"},
		{CodeInvalidOperation, "InvalidOperation"},
		{CodeArgumentInvalid, "ArgumentInvalid"},
		{CodeArgumentNull, "ArgumentNull"},
		{CodeIotHubFormatError, "IotHubFormatError"},
		{CodeDeviceStorageEntitySerializationError, "DeviceStorageEntitySerializationError"},
		{CodeBlobContainerValidationError, "BlobContainerValidationError"},
		{CodeImportWarningExistsError, "ImportWarningExistsError"},
		{CodeInvalidSchemaVersion, "InvalidSchemaVersion"},
		{CodeDeviceDefinedMultipleTimes, "DeviceDefinedMultipleTimes"},
		{CodeDeserializationError, "DeserializationError"},
		{CodeBulkRegistryOperationFailure, "BulkRegistryOperationFailure"},
		{CodeDefaultStorageEndpointNotConfigured, "DefaultStorageEndpointNotConfigured"},
		{CodeInvalidFileUploadCorrelationId, "InvalidFileUploadCorrelationId"},
		{CodeExpiredFileUploadCorrelationId, "ExpiredFileUploadCorrelationId"},
		{CodeInvalidStorageEndpoint, "InvalidStorageEndpoint"},
		{CodeInvalidMessagingEndpoint, "InvalidMessagingEndpoint"},
		{CodeInvalidFileUploadCompletionStatus, "InvalidFileUploadCompletionStatus"},
		{CodeInvalidStorageEndpointOrBlob, "InvalidStorageEndpointOrBlob"},
		{CodeRequestCanceled, "RequestCanceled"},
		{CodeInvalidStorageEndpointProperty, "InvalidStorageEndpointProperty"},
		{CodeEtagDoesNotMatch, "EtagDoesNotMatch"},
		{CodeRequestTimedOut, "RequestTimedOut"},
		{CodeUnsupportedOperationOnReplica, "UnsupportedOperationOnReplica"},
		{CodeNullMessage, "NullMessage"},
		{CodeConnectionForcefullyClosedOnNewConnection, "ConnectionForcefullyClosedOnNewConnection"},
		{CodeInvalidDeviceScope, "InvalidDeviceScope"},
		{CodeConnectionForcefullyClosedOnFaultInjection, "ConnectionForcefullyClosedOnFaultInjection"},
		{CodeConnectionRejectedOnFaultInjection, "ConnectionRejectedOnFaultInjection"},
		{CodeInvalidEndpointAuthenticationType, "InvalidEndpointAuthenticationType"},
		{CodeManagedIdentityNotEnabled, "ManagedIdentityNotEnabled"},
		{CodeInvalidPolicyKey, "InvalidPolicyKey"},
		{CodeBulkRegenerateDeviceKeyOperationFailure, "BulkRegenerateDeviceKeyOperationFailure"},
		{CodeInvalidRouteTestInput, "InvalidRouteTestInput"},
		{CodeInvalidSourceOnRoute, "InvalidSourceOnRoute"},
		{CodeRoutingNotEnabled, "RoutingNotEnabled"},
		{CodeInvalidContentEncodingOrType, "InvalidContentEncodingOrType"},
		{CodeCannotRegisterModuleToModule, "CannotRegisterModuleToModule"},
		{CodeTenantHubRoutingNotEnabled, "TenantHubRoutingNotEnabled"},
		{CodeInvalidConfigurationTargetCondition, "InvalidConfigurationTargetCondition"},
		{CodeInvalidConfigurationContent, "InvalidConfigurationContent"},
		{CodeCannotModifyImmutableConfigurationContent, "CannotModifyImmutableConfigurationContent"},
		{CodeInvalidConfigurationCustomMetricsQuery, "InvalidConfigurationCustomMetricsQuery"},
		{CodeInvalidPnPInterfaceDefinition, "InvalidPnPInterfaceDefinition"},
		{CodeInvalidPnPDesiredProperties, "InvalidPnPDesiredProperties"},
		{CodeInvalidPnPReportedProperties, "InvalidPnPReportedProperties"},
		{CodeInvalidPnPWritableReportedProperties, "InvalidPnPWritableReportedProperties"},
		{CodeInvalidDigitalTwinJsonPatch, "InvalidDigitalTwinJsonPatch"},
		{CodeInvalidDigitalTwinPayload, "InvalidDigitalTwinPayload"},
		{CodeInvalidDigitalTwinPatch, "InvalidDigitalTwinPatch"},
		{CodeInvalidDigitalTwinPatchPath, "InvalidDigitalTwinPatchPath"},
		{CodeGenericUnauthorized, "GenericUnauthorized"},
		{CodeIotHubNotFound, "IotHubNotFound"},
		{CodeIotHubUnauthorizedAccess, "IotHubUnauthorizedAccess"},
		{CodeIotHubUnauthorized, "IotHubUnauthorized"},
		{CodeElasticPoolNotFound, "ElasticPoolNotFound"},
		{CodeSystemModuleModifyUnauthorizedAccess, "SystemModuleModifyUnauthorizedAccess"},
		{CodeGenericForbidden, "GenericForbidden"},
		{CodeIotHubSuspended, "IotHubSuspended"},
		{CodeIotHubQuotaExceeded, "IotHubQuotaExceeded"},
		{CodeJobQuotaExceeded, "JobQuotaExceeded"},
		{CodeDeviceMaximumQueueDepthExceeded, "DeviceMaximumQueueDepthExceeded"},
		{CodeIotHubMaxCbsTokenExceeded, "IotHubMaxCbsTokenExceeded"},
		{CodeDeviceMaximumActiveFileUploadLimitExceeded, "DeviceMaximumActiveFileUploadLimitExceeded"},
		{CodeDeviceMaximumQueueSizeExceeded, "DeviceMaximumQueueSizeExceeded"},
		{CodeRoutingEndpointResponseForbidden, "RoutingEndpointResponseForbidden"},
		{CodeInvalidMessageExpiryTime, "InvalidMessageExpiryTime"},
		{CodeOperationNotAvailableInCurrentTier, "OperationNotAvailableInCurrentTier"},
		{CodeKeyEncryptionKeyRevoked, "KeyEncryptionKeyRevoked"},
		{CodeDeviceDisabled, "DeviceDisabled"},
		{CodeDeviceModelMaxPropertiesExceeded, "DeviceModelMaxPropertiesExceeded"},
		{CodeDeviceModelMaxIndexablePropertiesExceeded, "DeviceModelMaxIndexablePropertiesExceeded"},
		{CodeDeviceMaximumInflightMethodExceeded, "DeviceMaximumInflightMethodExceeded"},
		{CodeGenericNotFound, "GenericNotFound"},
		{CodeDeviceNotFound, "DeviceNotFound"},
		{CodeJobNotFound, "JobNotFound"},
		{CodeQuotaMetricNotFound, "QuotaMetricNotFound"},
		{CodeSystemPropertyNotFound, "SystemPropertyNotFound"},
		{CodeAmqpAddressNotFound, "AmqpAddressNotFound"},
		{CodeRoutingEndpointResponseNotFound, "RoutingEndpointResponseNotFound"},
		{CodeCertificateNotFound, "CertificateNotFound"},
		{CodeElasticPoolTenantHubNotFound, "ElasticPoolTenantHubNotFound"},
		{CodeModuleNotFound, "ModuleNotFound"},
		{CodeAzureTableStoreNotFound, "AzureTableStoreNotFound"},
		{CodeIotHubFailingOver, "IotHubFailingOver"},
		{CodeFeatureNotSupported, "FeatureNotSupported"},
		{CodeDigitalTwinInterfaceNotFound, "DigitalTwinInterfaceNotFound"},
		{CodeQueryStoreClusterNotFound, "QueryStoreClusterNotFound"},
		{CodeDeviceNotOnline, "DeviceNotOnline"},
		{CodeDeviceConnectionClosedRemotely, "DeviceConnectionClosedRemotely"},
		{CodeConfigurationNotFound, "ConfigurationNotFound"},
		{CodeGroupNotFound, "GroupNotFound"},
		{CodeDigitalTwinModelNotFound, "DigitalTwinModelNotFound"},
		{CodeInterfaceNameModelNotFound, "InterfaceNameModelNotFound"},
		{CodeGenericMethodNotAllowed, "GenericMethodNotAllowed"},
		{CodeOperationNotAllowedInCurrentState, "OperationNotAllowedInCurrentState"},
		{CodeImportDevicesNotSupported, "ImportDevicesNotSupported"},
		{CodeBulkAddDevicesNotSupported, "BulkAddDevicesNotSupported"},
		{CodeGenericConflict, "GenericConflict"},
		{CodeDeviceAlreadyExists, "DeviceAlreadyExists"},
		{CodeLinkCreationConflict, "LinkCreationConflict"},
		{CodeCallbackSubscriptionConflict, "CallbackSubscriptionConflict"},
		{CodeModelAlreadyExists, "ModelAlreadyExists"},
		{CodeDeviceLocked, "DeviceLocked"},
		{CodeDeviceJobAlreadyExists, "DeviceJobAlreadyExists"},
		{CodeJobAlreadyExists, "JobAlreadyExists"},
		{CodeModuleAlreadyExistsOnDevice, "ModuleAlreadyExistsOnDevice"},
		{CodeConfigurationAlreadyExists, "ConfigurationAlreadyExists"},
		{CodeApplyConfigurationAlreadyInProgressOnDevice, "ApplyConfigurationAlreadyInProgressOnDevice"},
		{CodeGenericPreconditionFailed, "GenericPreconditionFailed"},
		{CodePreconditionFailed, "PreconditionFailed"},
		{CodeDeviceMessageLockLost, "DeviceMessageLockLost"},
		{CodeJobRunPreconditionFailed, "JobRunPreconditionFailed"},
		{CodeInflightMessagesInLink, "InflightMessagesInLink"},
		{CodeGenericRequestEntityTooLarge, "GenericRequestEntityTooLarge"},
		{CodeMessageTooLarge, "MessageTooLarge"},
		{CodeTooManyDevices, "TooManyDevices"},
		{CodeTooManyModulesOnDevice, "TooManyModulesOnDevice"},
		{CodeConfigurationCountLimitExceeded, "ConfigurationCountLimitExceeded"},
		{CodeDigitalTwinModelCountLimitExceeded, "DigitalTwinModelCountLimitExceeded"},
		{CodeDigitalTwinInterfaceCountLimitExceeded, "DigitalTwinInterfaceCountLimitExceeded"},
		{CodeGenericUnsupportedMediaType, "GenericUnsupportedMediaType"},
		{CodeIncompatibleDataType, "IncompatibleDataType"},
		{CodeGenericTooManyRequests, "GenericTooManyRequests"},
		{CodeThrottlingException, "ThrottlingException"},
		{CodeThrottleBacklogLimitExceeded, "ThrottleBacklogLimitExceeded"},
		{CodeThrottlingBacklogTimeout, "ThrottlingBacklogTimeout"},
		{CodeThrottlingMaxActiveJobCountExceeded, "ThrottlingMaxActiveJobCountExceeded"},
		{CodeDeviceThrottlingLimitExceeded, "DeviceThrottlingLimitExceeded"},
		{CodeClientClosedRequest, "ClientClosedRequest"},
		{CodeGenericServerError, "GenericServerError"},
		{CodeServerError, "ServerError"},
		{CodeGenericTimeout, "GenericTimeout"},
		{CodeGenericNotImplemented, "GenericNotImplemented"},
		{CodeGenericServiceUnavailable, "GenericServiceUnavailable"},
		{CodeServiceUnavailable, "ServiceUnavailable"},
		{CodePartitionNotFound, "PartitionNotFound"},
		{CodeIotHubActivationFailed, "IotHubActivationFailed"},
		{CodeServerBusy, "ServerBusy"},
		{CodeIotHubRestoring, "IotHubRestoring"},
		{CodeReceiveLinkOpensThrottled, "ReceiveLinkOpensThrottled"},
		{CodeConnectionUnavailable, "ConnectionUnavailable"},
		{CodeDeviceUnavailable, "DeviceUnavailable"},
		{CodeConfigurationNotAvailable, "ConfigurationNotAvailable"},
		{CodeGroupNotAvailable, "GroupNotAvailable"},
		{CodeHostingServiceNotAvailable, "HostingServiceNotAvailable"},
		{CodeGenericGatewayTimeout, "GenericGatewayTimeout"},
		{CodeGatewayTimeout, "GatewayTimeout"},
	}
}

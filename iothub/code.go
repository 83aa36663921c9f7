package iothub

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

// Codes returns every code of the catalogue in rising order.
func Codes() []Code {
	return []Code{
		CodeGenericBadRequest,
		CodeInvalidProtocolVersion,
		CodeDeviceInvalidResultCount,
		CodeInvalidOperation,
		CodeArgumentInvalid,
		CodeArgumentNull,
		CodeIotHubFormatError,
		CodeDeviceStorageEntitySerializationError,
		CodeBlobContainerValidationError,
		CodeImportWarningExistsError,
		CodeInvalidSchemaVersion,
		CodeDeviceDefinedMultipleTimes,
		CodeDeserializationError,
		CodeBulkRegistryOperationFailure,
		CodeDefaultStorageEndpointNotConfigured,
		CodeInvalidFileUploadCorrelationId,
		CodeExpiredFileUploadCorrelationId,
		CodeInvalidStorageEndpoint,
		CodeInvalidMessagingEndpoint,
		CodeInvalidFileUploadCompletionStatus,
		CodeInvalidStorageEndpointOrBlob,
		CodeRequestCanceled,
		CodeInvalidStorageEndpointProperty,
		CodeEtagDoesNotMatch,
		CodeRequestTimedOut,
		CodeUnsupportedOperationOnReplica,
		CodeNullMessage,
		CodeConnectionForcefullyClosedOnNewConnection,
		CodeInvalidDeviceScope,
		CodeConnectionForcefullyClosedOnFaultInjection,
		CodeConnectionRejectedOnFaultInjection,
		CodeInvalidEndpointAuthenticationType,
		CodeManagedIdentityNotEnabled,
		CodeInvalidPolicyKey,
		CodeBulkRegenerateDeviceKeyOperationFailure,
		CodeInvalidRouteTestInput,
		CodeInvalidSourceOnRoute,
		CodeRoutingNotEnabled,
		CodeInvalidContentEncodingOrType,
		CodeCannotRegisterModuleToModule,
		CodeTenantHubRoutingNotEnabled,
		CodeInvalidConfigurationTargetCondition,
		CodeInvalidConfigurationContent,
		CodeCannotModifyImmutableConfigurationContent,
		CodeInvalidConfigurationCustomMetricsQuery,
		CodeInvalidPnPInterfaceDefinition,
		CodeInvalidPnPDesiredProperties,
		CodeInvalidPnPReportedProperties,
		CodeInvalidPnPWritableReportedProperties,
		CodeInvalidDigitalTwinJsonPatch,
		CodeInvalidDigitalTwinPayload,
		CodeInvalidDigitalTwinPatch,
		CodeInvalidDigitalTwinPatchPath,
		CodeGenericUnauthorized,
		CodeIotHubNotFound,
		CodeIotHubUnauthorizedAccess,
		CodeIotHubUnauthorized,
		CodeElasticPoolNotFound,
		CodeSystemModuleModifyUnauthorizedAccess,
		CodeGenericForbidden,
		CodeIotHubSuspended,
		CodeIotHubQuotaExceeded,
		CodeJobQuotaExceeded,
		CodeDeviceMaximumQueueDepthExceeded,
		CodeIotHubMaxCbsTokenExceeded,
		CodeDeviceMaximumActiveFileUploadLimitExceeded,
		CodeDeviceMaximumQueueSizeExceeded,
		CodeRoutingEndpointResponseForbidden,
		CodeInvalidMessageExpiryTime,
		CodeOperationNotAvailableInCurrentTier,
		CodeKeyEncryptionKeyRevoked,
		CodeDeviceDisabled,
		CodeDeviceModelMaxPropertiesExceeded,
		CodeDeviceModelMaxIndexablePropertiesExceeded,
		CodeDeviceMaximumInflightMethodExceeded,
		CodeGenericNotFound,
		CodeDeviceNotFound,
		CodeJobNotFound,
		CodeQuotaMetricNotFound,
		CodeSystemPropertyNotFound,
		CodeAmqpAddressNotFound,
		CodeRoutingEndpointResponseNotFound,
		CodeCertificateNotFound,
		CodeElasticPoolTenantHubNotFound,
		CodeModuleNotFound,
		CodeAzureTableStoreNotFound,
		CodeIotHubFailingOver,
		CodeFeatureNotSupported,
		CodeDigitalTwinInterfaceNotFound,
		CodeQueryStoreClusterNotFound,
		CodeDeviceNotOnline,
		CodeDeviceConnectionClosedRemotely,
		CodeConfigurationNotFound,
		CodeGroupNotFound,
		CodeDigitalTwinModelNotFound,
		CodeInterfaceNameModelNotFound,
		CodeGenericMethodNotAllowed,
		CodeOperationNotAllowedInCurrentState,
		CodeImportDevicesNotSupported,
		CodeBulkAddDevicesNotSupported,
		CodeGenericConflict,
		CodeDeviceAlreadyExists,
		CodeLinkCreationConflict,
		CodeCallbackSubscriptionConflict,
		CodeModelAlreadyExists,
		CodeDeviceLocked,
		CodeDeviceJobAlreadyExists,
		CodeJobAlreadyExists,
		CodeModuleAlreadyExistsOnDevice,
		CodeConfigurationAlreadyExists,
		CodeApplyConfigurationAlreadyInProgressOnDevice,
		CodeGenericPreconditionFailed,
		CodePreconditionFailed,
		CodeDeviceMessageLockLost,
		CodeJobRunPreconditionFailed,
		CodeInflightMessagesInLink,
		CodeGenericRequestEntityTooLarge,
		CodeMessageTooLarge,
		CodeTooManyDevices,
		CodeTooManyModulesOnDevice,
		CodeConfigurationCountLimitExceeded,
		CodeDigitalTwinModelCountLimitExceeded,
		CodeDigitalTwinInterfaceCountLimitExceeded,
		CodeGenericUnsupportedMediaType,
		CodeIncompatibleDataType,
		CodeGenericTooManyRequests,
		CodeThrottlingException,
		CodeThrottleBacklogLimitExceeded,
		CodeThrottlingBacklogTimeout,
		CodeThrottlingMaxActiveJobCountExceeded,
		CodeDeviceThrottlingLimitExceeded,
		CodeClientClosedRequest,
		CodeGenericServerError,
		CodeServerError,
		CodeGenericTimeout,
		CodeGenericNotImplemented,
		CodeGenericServiceUnavailable,
		CodeServiceUnavailable,
		CodePartitionNotFound,
		CodeIotHubActivationFailed,
		CodeServerBusy,
		CodeIotHubRestoring,
		CodeReceiveLinkOpensThrottled,
		CodeConnectionUnavailable,
		CodeDeviceUnavailable,
		CodeConfigurationNotAvailable,
		CodeGroupNotAvailable,
		CodeHostingServiceNotAvailable,
		CodeGenericGatewayTimeout,
		CodeGatewayTimeout,
	}
}

// String returns the name of the code as the service spells it, or "Unknown".
func (c Code) String() string {
	switch c {
	case CodeGenericBadRequest:
		return "GenericBadRequest"
	case CodeInvalidProtocolVersion:
		return "InvalidProtocolVersion"
	case CodeDeviceInvalidResultCount:
		return "DeviceInvalidResultCount"
	case CodeInvalidOperation:
		return "InvalidOperation"
	case CodeArgumentInvalid:
		return "ArgumentInvalid"
	case CodeArgumentNull:
		return "ArgumentNull"
	case CodeIotHubFormatError:
		return "IotHubFormatError"
	case CodeDeviceStorageEntitySerializationError:
		return "DeviceStorageEntitySerializationError"
	case CodeBlobContainerValidationError:
		return "BlobContainerValidationError"
	case CodeImportWarningExistsError:
		return "ImportWarningExistsError"
	case CodeInvalidSchemaVersion:
		return "InvalidSchemaVersion"
	case CodeDeviceDefinedMultipleTimes:
		return "DeviceDefinedMultipleTimes"
	case CodeDeserializationError:
		return "DeserializationError"
	case CodeBulkRegistryOperationFailure:
		return "BulkRegistryOperationFailure"
	case CodeDefaultStorageEndpointNotConfigured:
		return "DefaultStorageEndpointNotConfigured"
	case CodeInvalidFileUploadCorrelationId:
		return "InvalidFileUploadCorrelationId"
	case CodeExpiredFileUploadCorrelationId:
		return "ExpiredFileUploadCorrelationId"
	case CodeInvalidStorageEndpoint:
		return "InvalidStorageEndpoint"
	case CodeInvalidMessagingEndpoint:
		return "InvalidMessagingEndpoint"
	case CodeInvalidFileUploadCompletionStatus:
		return "InvalidFileUploadCompletionStatus"
	case CodeInvalidStorageEndpointOrBlob:
		return "InvalidStorageEndpointOrBlob"
	case CodeRequestCanceled:
		return "RequestCanceled"
	case CodeInvalidStorageEndpointProperty:
		return "InvalidStorageEndpointProperty"
	case CodeEtagDoesNotMatch:
		return "EtagDoesNotMatch"
	case CodeRequestTimedOut:
		return "RequestTimedOut"
	case CodeUnsupportedOperationOnReplica:
		return "UnsupportedOperationOnReplica"
	case CodeNullMessage:
		return "NullMessage"
	case CodeConnectionForcefullyClosedOnNewConnection:
		return "ConnectionForcefullyClosedOnNewConnection"
	case CodeInvalidDeviceScope:
		return "InvalidDeviceScope"
	case CodeConnectionForcefullyClosedOnFaultInjection:
		return "ConnectionForcefullyClosedOnFaultInjection"
	case CodeConnectionRejectedOnFaultInjection:
		return "ConnectionRejectedOnFaultInjection"
	case CodeInvalidEndpointAuthenticationType:
		return "InvalidEndpointAuthenticationType"
	case CodeManagedIdentityNotEnabled:
		return "ManagedIdentityNotEnabled"
	case CodeInvalidPolicyKey:
		return "InvalidPolicyKey"
	case CodeBulkRegenerateDeviceKeyOperationFailure:
		return "BulkRegenerateDeviceKeyOperationFailure"
	case CodeInvalidRouteTestInput:
		return "InvalidRouteTestInput"
	case CodeInvalidSourceOnRoute:
		return "InvalidSourceOnRoute"
	case CodeRoutingNotEnabled:
		return "RoutingNotEnabled"
	case CodeInvalidContentEncodingOrType:
		return "InvalidContentEncodingOrType"
	case CodeCannotRegisterModuleToModule:
		return "CannotRegisterModuleToModule"
	case CodeTenantHubRoutingNotEnabled:
		return "TenantHubRoutingNotEnabled"
	case CodeInvalidConfigurationTargetCondition:
		return "InvalidConfigurationTargetCondition"
	case CodeInvalidConfigurationContent:
		return "InvalidConfigurationContent"
	case CodeCannotModifyImmutableConfigurationContent:
		return "CannotModifyImmutableConfigurationContent"
	case CodeInvalidConfigurationCustomMetricsQuery:
		return "InvalidConfigurationCustomMetricsQuery"
	case CodeInvalidPnPInterfaceDefinition:
		return "InvalidPnPInterfaceDefinition"
	case CodeInvalidPnPDesiredProperties:
		return "InvalidPnPDesiredProperties"
	case CodeInvalidPnPReportedProperties:
		return "InvalidPnPReportedProperties"
	case CodeInvalidPnPWritableReportedProperties:
		return "InvalidPnPWritableReportedProperties"
	case CodeInvalidDigitalTwinJsonPatch:
		return "InvalidDigitalTwinJsonPatch"
	case CodeInvalidDigitalTwinPayload:
		return "InvalidDigitalTwinPayload"
	case CodeInvalidDigitalTwinPatch:
		return "InvalidDigitalTwinPatch"
	case CodeInvalidDigitalTwinPatchPath:
		return "InvalidDigitalTwinPatchPath"
	case CodeGenericUnauthorized:
		return "GenericUnauthorized"
	case CodeIotHubNotFound:
		return "IotHubNotFound"
	case CodeIotHubUnauthorizedAccess:
		return "IotHubUnauthorizedAccess"
	case CodeIotHubUnauthorized:
		return "IotHubUnauthorized"
	case CodeElasticPoolNotFound:
		return "ElasticPoolNotFound"
	case CodeSystemModuleModifyUnauthorizedAccess:
		return "SystemModuleModifyUnauthorizedAccess"
	case CodeGenericForbidden:
		return "GenericForbidden"
	case CodeIotHubSuspended:
		return "IotHubSuspended"
	case CodeIotHubQuotaExceeded:
		return "IotHubQuotaExceeded"
	case CodeJobQuotaExceeded:
		return "JobQuotaExceeded"
	case CodeDeviceMaximumQueueDepthExceeded:
		return "DeviceMaximumQueueDepthExceeded"
	case CodeIotHubMaxCbsTokenExceeded:
		return "IotHubMaxCbsTokenExceeded"
	case CodeDeviceMaximumActiveFileUploadLimitExceeded:
		return "DeviceMaximumActiveFileUploadLimitExceeded"
	case CodeDeviceMaximumQueueSizeExceeded:
		return "DeviceMaximumQueueSizeExceeded"
	case CodeRoutingEndpointResponseForbidden:
		return "RoutingEndpointResponseForbidden"
	case CodeInvalidMessageExpiryTime:
		return "InvalidMessageExpiryTime"
	case CodeOperationNotAvailableInCurrentTier:
		return "OperationNotAvailableInCurrentTier"
	case CodeKeyEncryptionKeyRevoked:
		return "KeyEncryptionKeyRevoked"
	case CodeDeviceDisabled:
		return "DeviceDisabled"
	case CodeDeviceModelMaxPropertiesExceeded:
		return "DeviceModelMaxPropertiesExceeded"
	case CodeDeviceModelMaxIndexablePropertiesExceeded:
		return "DeviceModelMaxIndexablePropertiesExceeded"
	case CodeDeviceMaximumInflightMethodExceeded:
		return "DeviceMaximumInflightMethodExceeded"
	case CodeGenericNotFound:
		return "GenericNotFound"
	case CodeDeviceNotFound:
		return "DeviceNotFound"
	case CodeJobNotFound:
		return "JobNotFound"
	case CodeQuotaMetricNotFound:
		return "QuotaMetricNotFound"
	case CodeSystemPropertyNotFound:
		return "SystemPropertyNotFound"
	case CodeAmqpAddressNotFound:
		return "AmqpAddressNotFound"
	case CodeRoutingEndpointResponseNotFound:
		return "RoutingEndpointResponseNotFound"
	case CodeCertificateNotFound:
		return "CertificateNotFound"
	case CodeElasticPoolTenantHubNotFound:
		return "ElasticPoolTenantHubNotFound"
	case CodeModuleNotFound:
		return "ModuleNotFound"
	case CodeAzureTableStoreNotFound:
		return "AzureTableStoreNotFound"
	case CodeIotHubFailingOver:
		return "IotHubFailingOver"
	case CodeFeatureNotSupported:
		return "FeatureNotSupported"
	case CodeDigitalTwinInterfaceNotFound:
		return "DigitalTwinInterfaceNotFound"
	case CodeQueryStoreClusterNotFound:
		return "QueryStoreClusterNotFound"
	case CodeDeviceNotOnline:
		return "DeviceNotOnline"
	case CodeDeviceConnectionClosedRemotely:
		return "DeviceConnectionClosedRemotely"
	case CodeConfigurationNotFound:
		return "ConfigurationNotFound"
	case CodeGroupNotFound:
		return "GroupNotFound"
	case CodeDigitalTwinModelNotFound:
		return "DigitalTwinModelNotFound"
	case CodeInterfaceNameModelNotFound:
		return "InterfaceNameModelNotFound"
	case CodeGenericMethodNotAllowed:
		return "GenericMethodNotAllowed"
	case CodeOperationNotAllowedInCurrentState:
		return "OperationNotAllowedInCurrentState"
	case CodeImportDevicesNotSupported:
		return "ImportDevicesNotSupported"
	case CodeBulkAddDevicesNotSupported:
		return "BulkAddDevicesNotSupported"
	case CodeGenericConflict:
		return "GenericConflict"
	case CodeDeviceAlreadyExists:
		return "DeviceAlreadyExists"
	case CodeLinkCreationConflict:
		return "LinkCreationConflict"
	case CodeCallbackSubscriptionConflict:
		return "CallbackSubscriptionConflict"
	case CodeModelAlreadyExists:
		return "ModelAlreadyExists"
	case CodeDeviceLocked:
		return "DeviceLocked"
	case CodeDeviceJobAlreadyExists:
		return "DeviceJobAlreadyExists"
	case CodeJobAlreadyExists:
		return "JobAlreadyExists"
	case CodeModuleAlreadyExistsOnDevice:
		return "ModuleAlreadyExistsOnDevice"
	case CodeConfigurationAlreadyExists:
		return "ConfigurationAlreadyExists"
	case CodeApplyConfigurationAlreadyInProgressOnDevice:
		return "ApplyConfigurationAlreadyInProgressOnDevice"
	case CodeGenericPreconditionFailed:
		return "GenericPreconditionFailed"
	case CodePreconditionFailed:
		return "PreconditionFailed"
	case CodeDeviceMessageLockLost:
		return "DeviceMessageLockLost"
	case CodeJobRunPreconditionFailed:
		return "JobRunPreconditionFailed"
	case CodeInflightMessagesInLink:
		return "InflightMessagesInLink"
	case CodeGenericRequestEntityTooLarge:
		return "GenericRequestEntityTooLarge"
	case CodeMessageTooLarge:
		return "MessageTooLarge"
	case CodeTooManyDevices:
		return "TooManyDevices"
	case CodeTooManyModulesOnDevice:
		return "TooManyModulesOnDevice"
	case CodeConfigurationCountLimitExceeded:
		return "ConfigurationCountLimitExceeded"
	case CodeDigitalTwinModelCountLimitExceeded:
		return "DigitalTwinModelCountLimitExceeded"
	case CodeDigitalTwinInterfaceCountLimitExceeded:
		return "DigitalTwinInterfaceCountLimitExceeded"
	case CodeGenericUnsupportedMediaType:
		return "GenericUnsupportedMediaType"
	case CodeIncompatibleDataType:
		return "IncompatibleDataType"
	case CodeGenericTooManyRequests:
		return "GenericTooManyRequests"
	case CodeThrottlingException:
		return "ThrottlingException"
	case CodeThrottleBacklogLimitExceeded:
		return "ThrottleBacklogLimitExceeded"
	case CodeThrottlingBacklogTimeout:
		return "ThrottlingBacklogTimeout"
	case CodeThrottlingMaxActiveJobCountExceeded:
		return "ThrottlingMaxActiveJobCountExceeded"
	case CodeDeviceThrottlingLimitExceeded:
		return "DeviceThrottlingLimitExceeded"
	case CodeClientClosedRequest:
		return "ClientClosedRequest"
	case CodeGenericServerError:
		return "GenericServerError"
	case CodeServerError:
		return "ServerError"
	case CodeGenericTimeout:
		return "GenericTimeout"
	case CodeGenericNotImplemented:
		return "GenericNotImplemented"
	case CodeGenericServiceUnavailable:
		return "GenericServiceUnavailable"
	case CodeServiceUnavailable:
		return "ServiceUnavailable"
	case CodePartitionNotFound:
		return "PartitionNotFound"
	case CodeIotHubActivationFailed:
		return "IotHubActivationFailed"
	case CodeServerBusy:
		return "ServerBusy"
	case CodeIotHubRestoring:
		return "IotHubRestoring"
	case CodeReceiveLinkOpensThrottled:
		return "ReceiveLinkOpensThrottled"
	case CodeConnectionUnavailable:
		return "ConnectionUnavailable"
	case CodeDeviceUnavailable:
		return "DeviceUnavailable"
	case CodeConfigurationNotAvailable:
		return "ConfigurationNotAvailable"
	case CodeGroupNotAvailable:
		return "GroupNotAvailable"
	case CodeHostingServiceNotAvailable:
		return "HostingServiceNotAvailable"
	case CodeGenericGatewayTimeout:
		return "GenericGatewayTimeout"
	case CodeGatewayTimeout:
		return "GatewayTimeout"
	}
	return "Unknown"
}

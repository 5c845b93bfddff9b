#pragma once
#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tctildr.h>

/// Response codes and properties that the headers compose with macros that Swift does not import.
/// Layers, already shifted into place.
static const UINT32 cs_layer_esys = TSS2_ESAPI_RC_LAYER;
static const UINT32 cs_layer_sys = TSS2_SYS_RC_LAYER;
static const UINT32 cs_layer_mu = TSS2_MU_RC_LAYER;
static const UINT32 cs_layer_tcti = TSS2_TCTI_RC_LAYER;
static const UINT32 cs_layer_resmgr = TSS2_RESMGR_RC_LAYER;
static const UINT32 cs_layer_resmgr_tpm = TSS2_RESMGR_TPM_RC_LAYER;

static const UINT32 cs_pt_manufacturer = TPM2_PT_MANUFACTURER;
static const UINT32 cs_pt_vendor_string = TPM2_PT_VENDOR_STRING_1;
static const UINT32 cs_pt_firmware_1 = TPM2_PT_FIRMWARE_VERSION_1;
static const UINT32 cs_pt_firmware_2 = TPM2_PT_FIRMWARE_VERSION_2;
static const UINT32 cs_pt_transient_min = TPM2_PT_HR_TRANSIENT_MIN;
static const UINT32 cs_pt_transient_available = TPM2_PT_HR_TRANSIENT_AVAIL;
static const UINT32 cs_pt_persistent_available = TPM2_PT_HR_PERSISTENT_AVAIL;
static const UINT32 cs_pt_counters_available = TPM2_PT_NV_COUNTERS_AVAIL;
static const UINT32 cs_pt_variable = TPM2_PT_VAR;
static const UINT32 cs_pt_permanent = TPM2_PT_PERMANENT;
static const UINT32 cs_pt_lockout_counter = TPM2_PT_LOCKOUT_COUNTER;
static const UINT32 cs_pt_max_auth_fail = TPM2_PT_MAX_AUTH_FAIL;
static const UINT32 cs_pt_lockout_interval = TPM2_PT_LOCKOUT_INTERVAL;

static const UINT32 cs_max_handles = TPM2_MAX_CAP_HANDLES;

/// tpm2-tss writes to standard error by itself unless told otherwise before its first message. An operator who set
/// TSS2_LOG wants the messages. Not a constructor: Swift's static runtime finds the arguments of the process by way of
/// `environ`, which a change of the environment before its own initialisation moves off the stack.
void cs_tss_quieten(void);

/// A TCTI over a connected stream socket that is already there (the child's end of a socket pair), so that a software
/// TPM has no name in the file system and ends with the connection. Takes ownership of `descriptor`.
/// NULL where there is no memory.
TSS2_TCTI_CONTEXT *cs_tcti_stream(int descriptor);
/// Closes and frees what cs_tcti_stream gave.
void cs_tcti_stream_free(TSS2_TCTI_CONTEXT *context);

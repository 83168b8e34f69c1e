//! `jsonb` in and out. pgrx's own `JsonB` goes through a generic `serde_json::Value` both ways;
//! these functions run thousands of times a second, so arguments are read straight into their
//! types, and results are written straight from theirs.

use std::ffi::{CStr, CString};
use std::io::{self, Write};

use pgrx::datum::{FromDatum, IntoDatum};
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::{callconv, direct_function_call, direct_function_call_as_datum};
use serde::de::DeserializeOwned;
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

use crate::failure::invalid;

/// A `jsonb` argument: its stored bytes, and its text when asked for.
pub struct JsonbArg<'a> {
    datum: pg_sys::Datum,
    bytes: &'a [u8],
}

impl JsonbArg<'_> {
    /// The bytes as Postgres stores them: equal bytes are equal values.
    pub fn bytes(&self) -> &[u8] {
        self.bytes
    }

    /// Reads the value into its type; `name` is the argument's and `problem` what is wrong with it,
    /// for the error.
    pub fn read<T: DeserializeOwned>(&self, name: &str, problem: &str) -> Result<T, ErrorReport> {
        self.try_read().map_err(|_| invalid(name, problem))
    }

    /// Reads the value into its type.
    pub fn try_read<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        // SAFETY: the datum is a detoasted jsonb (FromDatum below), which is what jsonb_out takes;
        // it gives a C string that lives as long as the call.
        let text = unsafe { direct_function_call::<&CStr>(pg_sys::jsonb_out, &[Some(self.datum)]) };
        serde_json::from_slice(text.map_or(b"", CStr::to_bytes))
    }
}

impl FromDatum for JsonbArg<'_> {
    unsafe fn from_polymorphic_datum(
        datum: pg_sys::Datum,
        is_null: bool,
        _: pg_sys::Oid,
    ) -> Option<Self> {
        if is_null {
            return None;
        }
        // SAFETY: the caller vouches for a jsonb datum, which is a varlena; what detoasting makes
        // lives in the call's memory context, as long as the argument does.
        unsafe {
            let detoasted = pg_sys::pg_detoast_datum_packed(datum.cast_mut_ptr());
            let bytes = std::slice::from_raw_parts(
                pgrx::vardata_any(detoasted).cast::<u8>(),
                pgrx::varsize_any_exhdr(detoasted),
            );
            Some(Self { datum: detoasted.into(), bytes })
        }
    }
}

// SAFETY: the argument is declared jsonb below, so its datum is one.
unsafe impl<'fcx> callconv::ArgAbi<'fcx> for JsonbArg<'fcx> {
    unsafe fn unbox_arg_unchecked(arg: callconv::Arg<'_, 'fcx>) -> Self {
        // SAFETY: as above; null arguments are unboxed by the method below.
        match unsafe { arg.unbox_arg_using_from_datum() } {
            Some(value) => value,
            None => pgrx::error!("a jsonb argument must not be null"),
        }
    }

    unsafe fn unbox_nullable_arg(arg: callconv::Arg<'_, 'fcx>) -> pgrx::nullable::Nullable<Self> {
        // SAFETY: as above.
        unsafe { arg.unbox_arg_using_from_datum::<Self>() }.into()
    }
}

// SAFETY: only names the SQL type.
unsafe impl SqlTranslatable for JsonbArg<'_> {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(JsonbArg);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("jsonb"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> =
        Ok(ReturnsRef::One(SqlMappingRef::literal("jsonb")));
}

/// Writes whole numbers without a fraction, as SQL does: 40, not 40.0.
struct PlainNumbers;

impl Formatter for PlainNumbers {
    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        /// From here on numbers are written with an exponent, which has no fraction either.
        const LONG: f64 = 1e16;
        if value.fract() == 0.0 && value.abs() < LONG {
            // As an integer, -0 is 0, too.
            #[allow(clippy::cast_possible_truncation, reason = "whole, and within i64 by far")]
            return self.write_i64(writer, value as i64);
        }
        CompactFormatter.write_f64(writer, value)
    }
}

/// A `jsonb` result, already written as JSON text.
pub struct JsonbResult(CString);

impl JsonbResult {
    /// Writes a value as JSON.
    pub fn write(value: &impl Serialize) -> Result<Self, ErrorReport> {
        let mut text = Vec::with_capacity(512);
        value
            .serialize(&mut Serializer::with_formatter(&mut text, PlainNumbers))
            .map_err(|error| invalid("result", error))?;
        // JSON text escapes every control character, NUL included.
        CString::new(text).map(Self).map_err(|error| invalid("result", error))
    }
}

impl IntoDatum for JsonbResult {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        // SAFETY: jsonb_in takes a C string, and this one lives until it returns.
        unsafe {
            direct_function_call_as_datum(
                pg_sys::jsonb_in,
                &[Some(pg_sys::Datum::from(self.0.as_ptr()))],
            )
        }
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::JSONBOID
    }
}

// SAFETY: the result is declared jsonb below, and jsonb_in makes one.
unsafe impl callconv::BoxRet for JsonbResult {
    unsafe fn box_into<'fcx>(
        self,
        fcinfo: &mut callconv::FcInfo<'fcx>,
    ) -> pgrx::datum::Datum<'fcx> {
        match self.into_datum() {
            // SAFETY: the datum was just made, in the function's own memory context.
            Some(datum) => unsafe { fcinfo.return_raw_datum(datum) },
            None => fcinfo.return_null(),
        }
    }
}

// SAFETY: only names the SQL type.
unsafe impl SqlTranslatable for JsonbResult {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(JsonbResult);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("jsonb"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> =
        Ok(ReturnsRef::One(SqlMappingRef::literal("jsonb")));
}

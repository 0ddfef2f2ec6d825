"""Which channels count as ECG leads or as breathing, by the names that public databases and devices use."""

import pytest

from mhealth.io import open_recording
from mhealth.labeling import is_ecg_channel, is_respiration_channel

LIMB = [
    "i",
    "ii",
    "iii",
    "avr",
    "avl",
    "avf",
    "I",
    "II",
    "III",
    "aVR",
    "aVL",
    "aVF",
    "AVR",
    "-aVR",
    "MLI",
    "MLII",
    "MLIII",
]
CHEST = [
    "v1",
    "v2",
    "v3",
    "v4",
    "v5",
    "v6",
    "V1",
    "V6",
    "V",
    "V3R",
    "V7",
    "MV2",
    "MCL1",
    "ML2",
    "ML5",
    "CM2",
    "CM4",
    "CM5",
]
CHEST += ["CC5", "CS5", "D3", "D4", "V4-V5", "V1-V2", "vx", "vy", "vz"]
NAMED = ["ECG", "ECG1", "ECG2", "ecg_1", "EKG", "EKG1-EKG2", "ECG I", "ECG II", "ECG LA-RA", "ECGLA", "ECG V1-Ref"]
NAMED += ["Lead II", "lead 1", "ECG lead 2", "ECGII", "Electrocardiogram", "ECG thorax", "ECG strip", "LA-RA", "A-I"]


@pytest.mark.parametrize("name", [*LIMB, *CHEST, *NAMED])
@pytest.mark.parametrize("unit", ["", "mV", "adu"])
def test_names_of_leads_count_whatever_is_known_of_the_unit(name, unit):
    assert is_ecg_channel(name, unit)


@pytest.mark.parametrize("name", ["II,", "V,", " AVR, ", "MLII ", "ii."])
def test_what_headers_leave_around_a_name_is_no_part_of_it(name):
    """BIDMC's headers end names in commas."""
    assert is_ecg_channel(name)


OTHERS = [
    "RESP",
    "RESP,",
    "Resp. thorax",
    "PLETH",
    "PLETH,",
    "PPG",
    "ppg_green",
    "ABP",
    "ART",
    "BP",
    "NIBP",
    "CVP",
    "PAP",
]
OTHERS += [
    "SpO2",
    "SaO2",
    "CO2",
    "etCO2",
    "O2",
    "ACC x",
    "acc_y",
    "accelerometer Z",
    "gyro",
    "EDA",
    "GSR",
    "Temp",
    "HR",
]
OTHERS += ["EEG Fpz-Cz", "EMG chin", "EOG left", "Flow", "Airflow", "belt", "RIP", "THO", "ABD", "Thorax", "Abdomen"]
OTHERS += [
    "Snore",
    "Pulse",
    "ECG HR",
    "HR (ECG)",
    "ECG derived resp",
    "EDF Annotations",
    "heart rate",
    "Chest",
    "Status",
]


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("unit", ["", "mV", "V", "uV"])
def test_other_signals_do_not_count_even_in_volts(name, unit):
    assert not is_ecg_channel(name, unit)


@pytest.mark.parametrize("name", ["x", "Y", "z"])
def test_axes_count_in_volts_only(name):
    assert is_ecg_channel(name, "mV")
    for unit in ("", "g", "m/s^2", "adu"):
        assert not is_ecg_channel(name, unit)


@pytest.mark.parametrize("name", ["C3-A2", "Fp1", "F4-M1", "O2-A1", "Fz", "E1-M2", "LOC", "ROC-A1", "T4"])
def test_electrodes_of_an_eeg_do_not_count_although_they_are_in_volts(name):
    assert not is_ecg_channel(name, "uV")


@pytest.mark.parametrize("name", ["", "0", "ch1", "Channel 2", "signal", "noise1", "left wrist", "data"])
def test_a_name_that_says_nothing_counts_where_the_unit_is_a_voltage(name):
    for unit in ("mV", "V", "uV", "µV", "μV", " mv ", "Millivolts", "volt"):
        assert is_ecg_channel(name, unit)
    assert not is_ecg_channel(name, "")


@pytest.mark.parametrize("name", ["ECG", "II", "V", "X", "channel 1"])
@pytest.mark.parametrize("unit", ["bpm", "mmHg", "%", "g", "m/s^2", "NU", "pm", "degC", "l/min", "uS", "Ohm"])
def test_the_unit_of_something_else_rules_a_lead_out(name, unit):
    assert not is_ecg_channel(name, unit)


@pytest.mark.realdata
def test_every_channel_of_the_ecg_databases_counts(data_dir):
    names = set()
    for header in [*data_dir.glob("ludb/**/*.hea"), *data_dir.glob("qtdb/**/*.hea"), *data_dir.glob("mitdb/**/*.hea")]:
        lines = [line for line in header.read_text().splitlines()[1:] if line.strip() and not line.startswith("#")]
        names |= {line.split()[8] for line in lines}
    assert len(names) > 25
    assert [name for name in sorted(names) if not is_ecg_channel(name)] == []


BELTS = [
    "RESP",
    "RESP,",
    "Resp",
    "resp_chest",
    "RSP",
    "Resp. thorax",
    "Resp C",
    "RIP",
    "RIP1",
    "RIP abdomen",
    "rib cage",
]
BELTS += [
    "RibCage",
    "THO",
    "Thor",
    "THOR RES",
    "Thoracic",
    "ABD",
    "ABDO RES",
    "Abdomen",
    "CHEST",
    "belt",
    "Effort belt",
]
FLOWS = ["Flow", "Airflow", "AIRFLOW", "Flow_patient", "Nasal pressure", "Nasal", "Oronasal flow", "cannula", "CO2"]
FLOWS += ["Thermistor", "Capnogram", "impedance", "Imp", "Breathing", "Respiration", "Pneumogram"]


@pytest.mark.parametrize("name", [*BELTS, *FLOWS])
@pytest.mark.parametrize("unit", ["", "mV", "V", "adu", "Ohm", "pm", "NU", "%", "L/min", "mmHg"])
def test_names_of_what_follows_breathing_count_in_any_unit_and_never_as_ecg(name, unit):
    assert is_respiration_channel(name, unit)
    assert not is_ecg_channel(name, unit)


NO_BREATHS = [
    "RespRate",
    "Resp rate",
    "RESP_RATE",
    "breath rate",
    "RR",
    "BR",
    "EtCO2",
    "O2",
    "SpO2",
    "PLETH,",
    "PPG",
    "ABP",
]
NO_BREATHS += [
    "ECG derived resp",
    "EDR",
    "ECG thorax",
    "chest ACC x",
    "acc",
    "Temp chest",
    "EMG chin",
    "HR",
    "Resp quality",
]


@pytest.mark.parametrize("name", [*LIMB, *CHEST, *NAMED, *NO_BREATHS, "x", "", "signal"])
def test_leads_rates_and_other_signals_do_not_follow_breathing(name):
    assert not is_respiration_channel(name)
    assert not is_respiration_channel(name, "mV")


@pytest.mark.parametrize("unit", ["bpm", "brpm", "1/min", "breaths/min", "Hz", "g", "m/s^2"])
def test_the_unit_of_a_rate_or_of_movement_rules_breathing_out(unit):
    assert not is_respiration_channel("RESP", unit)


@pytest.mark.parametrize("unit", ["Ohm", "ohms", "kOhm", "Ω", "mΩ", "pm", " OHM "])
def test_a_name_that_says_nothing_breathes_where_the_unit_is_one_of_impedance(unit):
    assert is_respiration_channel("channel 3", unit)
    for name in ("II", "C3", "GSR", "EDA"):  # of electrodes and skin
        assert not is_respiration_channel(name, unit)


@pytest.mark.realdata
def test_the_channels_of_bidmc_are_told_apart(data_dir):
    tables = sorted(data_dir.glob("bidmc/bidmc_csv/*_Signals.csv.gz"))
    names = {name for table in tables for name in open_recording(table).channels}
    assert {name for name in names if is_respiration_channel(name)} == {"RESP"}
    assert {"V", "AVR", "II"} <= {name for name in names if is_ecg_channel(name)}
    assert {name for name in names if not (is_ecg_channel(name) or is_respiration_channel(name))} >= {"PLETH"}
